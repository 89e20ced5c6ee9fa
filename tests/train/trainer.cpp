#include "train/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "train/model_files.hpp"
#include "training_fixture.hpp"
#include "weights/safetensors.hpp"

using namespace terrane;
using test::Run;
using train::Trainer;

TEST_CASE("a small network learns one batch by heart") {
    test::TemporaryFolder folder;
    config::Config config = test::small_config();
    config.train.steps = 80;
    config.optim.lr = 0.01;
    config.augment.flips = false;
    config.eval.every = 0;
    Run run(4);
    run.train(config, folder.path());
    REQUIRE(run.recorder.steps.size() == 80);
    CHECK(run.recorder.steps.front().loss == Approx(std::log(3.0)).margin(0.3));
    CHECK(run.recorder.steps.back().loss < 0.25);
    REQUIRE(run.recorder.evaluations.size() == 1);
    CHECK(run.recorder.evaluations.back().scores.oa > 0.5);  // of other tiles
    CHECK(run.recorder.evaluations.back().best);
}

TEST_CASE("two runs of the same configuration give the same bits") {
    test::TemporaryFolder first, second;
    config::Config config = test::small_config();
    config.model.dropout = 0.2;
    config.model.modality_dropout = 0.2;
    config.sampler.balance = 0.5;
    const std::vector<std::byte> model = Run().train(config, first.path()).model;
    CHECK(Run().train(config, second.path()).model == model);
    config.runtime.seed = 12;
    test::TemporaryFolder third;
    CHECK(Run().train(config, third.path()).model != model);
}

TEST_CASE("on one rank synchronised batch norm gives the bits of batch norm") {
    std::vector<std::vector<std::byte>> models;
    for (const char* norm : {"batch", "sync_batch"}) {
        test::TemporaryFolder folder;
        config::Config config = test::small_config();
        config.model.norm = norm;
        models.push_back(Run().train(config, folder.path()).model);
    }
    CHECK(models[0] == models[1]);
}

TEST_CASE("a run that was stopped and resumed ends with the bits of one that was not") {
    test::TemporaryFolder whole, parts;
    config::Config config = test::small_config();
    config.train.steps = 6;
    config.train.batch = 2;  // two micro-steps
    config.model.dropout = 0.2;
    config.optim.clip_norm = 1;
    config.optim.warmup_steps = 2;
    config.eval.every_steps = 3;
    const auto name = GENERATE("adamw", "sgd", "adam");
    // Asked to stop in step 2; in step 3, before the evaluation that is due then; within that evaluation.
    const auto [stop_at, steps_made] = GENERATE(table<std::int64_t, std::size_t>({{2, 2}, {3, 3}, {4, 3}}));
    CAPTURE(name, stop_at);
    config.optim.name = name;
    if (config.optim.name == "adam") {  // everything that has a memory
        config.optim.ema_decay = 0.9;
        config.optim.schedule = "plateau";
        config.optim.plateau_patience = 0;
        config.optim.plateau_threshold = 0.2;
        config.optim.groups = {{"^encoder", 0.5, 1, 4}};
    }
    Run uninterrupted;
    uninterrupted.train(config, whole.path());
    CHECK(uninterrupted.outcome == Trainer::Outcome::finished);

    Run before;
    before.stop_at = stop_at;
    before.train(config, parts.path());
    CHECK(before.outcome == Trainer::Outcome::stopped_early);
    CHECK(before.recorder.steps.size() == steps_made);
    CHECK(before.recorder.checkpoints.back() == static_cast<std::int64_t>(steps_made));
    CHECK(before.recorder.evaluations.empty());
    REQUIRE(before.recorder.stops.size() == 1);
    CHECK(before.recorder.stops[0].step == static_cast<std::int64_t>(steps_made));
    Run after;
    after.train(config, parts.path());
    CHECK(after.recorder.start.first_step == static_cast<std::int64_t>(steps_made));
    CHECK(after.recorder.steps.size() == 6 - steps_made);
    REQUIRE(after.recorder.evaluations.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(after.recorder.evaluations[i].training_loss ==
              uninterrupted.recorder.evaluations[i].training_loss);
        CHECK(after.recorder.evaluations[i].best == uninterrupted.recorder.evaluations[i].best);
    }
    CHECK(after.outcome == Trainer::Outcome::finished);
    CHECK(after.model == uninterrupted.model);
    CHECK(after.recorder.steps.back().loss == uninterrupted.recorder.steps.back().loss);
    CHECK(after.recorder.evaluations.back().loss == uninterrupted.recorder.evaluations.back().loss);

    Run again;  // nothing left to do
    again.train(config, parts.path());
    CHECK(again.recorder.steps.empty());
    CHECK(again.model == uninterrupted.model);
}

TEST_CASE("frozen groups keep their weights until their step") {
    test::TemporaryFolder folder;
    config::Config config = test::small_config();
    config.train.steps = 2;
    config.optim.groups = {{"^encoder", 1, 1, 2}};
    Run run;
    train::TrainingSetup setup{config,        run.training, &run.validation, *run.backend, *run.communicator,
                               folder.path(), run.recorder};
    Trainer trainer(setup);
    trainer.prepare();
    const auto& store = trainer.store();
    std::vector<std::vector<float>> before;
    for (const auto& entry : store.entries()) {
        const auto values = store.parameter(entry).span<float>();
        before.emplace_back(values.begin(), values.end());
    }
    trainer.run();
    std::size_t moved = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
        const auto& entry = store.entries()[i];
        const auto values = store.parameter(entry).span<float>();
        const bool same = std::equal(values.begin(), values.end(), before[i].begin());
        if (entry.name.starts_with("encoder")) CHECK(same);
        if (!same) ++moved;
    }
    CHECK(moved > 5);
}

TEST_CASE("with a moving average, checkpoints and scores are the average's, and training is not disturbed") {
    test::TemporaryFolder plain, averaged, other;
    config::Config config = test::small_config();
    config.eval.every_steps = 2;
    Run without;
    without.train(config, plain.path());
    config.optim.ema_decay = 0.5;
    Run with;
    with.train(config, averaged.path());
    CHECK(with.model == without.model);  // the trained weights
    CHECK(with.recorder.evaluations.back().loss != without.recorder.evaluations.back().loss);

    const auto tensor = [&](const char* file, const std::string& name) {
        const weights::SafetensorsReader reader(averaged.path() / "last" / file);
        const weights::StoredTensor& stored = reader.require(name, {DType::f32, Shape{3}});
        std::vector<std::byte> bytes(12);
        reader.read(stored, bytes);
        return bytes;
    };
    const auto contains = [](const std::vector<std::byte>& whole, const std::vector<std::byte>& part) {
        return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
    };
    CHECK(contains(with.model, tensor("optim.safetensors", "trained/classifier.bias")));
    CHECK_FALSE(contains(with.model, tensor("model.safetensors", "classifier.bias")));
}

TEST_CASE("a damaged checkpoint is passed over for the one before it") {
    test::TemporaryFolder folder;
    config::Config config = test::small_config();
    config.checkpoint.every = 1;
    config.eval.every = 0;
    Run first;
    first.stop_at = 3;
    first.train(config, folder.path());
    std::fstream(folder.path() / "step-00000003/optim.safetensors", std::ios::in | std::ios::out)
        .seekp(5000)
        .put('\x55');
    Run second;
    second.train(config, folder.path());
    CHECK(second.recorder.start.first_step == 2);
    test::TemporaryFolder untouched;
    CHECK(second.model == Run().train(config, untouched.path()).model);
}

TEST_CASE("another experiment does not continue a run, a new one can start from its weights") {
    test::TemporaryFolder folder, other;
    config::Config config = test::small_config();
    Run first;
    first.train(config, folder.path());
    config.optim.lr = 0.01;
    CHECK_THROWS_WITH(Run().train(config, folder.path()), test::contains("is of another configuration"));
    config.train.init_weights = folder.path() / "best";
    config.train.steps = 1;
    Run second;
    second.train(config, other.path());
    CHECK(second.recorder.start.first_step == 0);
    CHECK(second.recorder.steps[0].loss < first.recorder.steps[0].loss);
    config.train.init_weights = folder.path() / "none";
    test::TemporaryFolder third;
    CHECK_THROWS_WITH(Run().train(config, third.path()), test::contains("there are no weights"));
}

TEST_CASE("a loss that is not finite ends the run with code 80 and the tiles") {
    test::TemporaryFolder folder;
    config::Config config = test::small_config();
    config.optim.name = "sgd";
    config.optim.lr = 1e30;
    config.train.steps = 20;
    try {
        Run().train(config, folder.path());
        FAIL("the divergence went unnoticed");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::diverged);
        CHECK(error.number() == 520);
        CHECK_THAT(error.message(),
                   test::contains("is not finite at step") && test::contains("10 updates in a row"));
        CHECK_THAT(error.message(), test::contains("Tiles of rank 0: synthetic tile"));
    }
}

TEST_CASE("a checkpoint says what its model is, and only that model takes it") {
    test::TemporaryFolder folder;
    const config::Config config = test::small_config();
    Run().train(config, folder.path());
    const auto file = train::model_file_of(folder.path() / "best");
    const auto description = train::read_model_description(file);
    REQUIRE(description);
    CHECK(description->model.encoder_width == 8);
    CHECK(description->modalities[0].name == "optical");

    config::Config wider = config;
    wider.model.encoder_width = 16;
    wider.train.init_weights = folder.path() / "best";
    test::TemporaryFolder other;
    CHECK_THROWS_WITH(Run().train(wider, other.path()), test::contains("the model needs"));
}
