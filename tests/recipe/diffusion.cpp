#include "diffusion_fixture.hpp"
#include "nets/diffusion_graphs.hpp"
#include "support/catch.hpp"
#include "train/model_export.hpp"
#include "train/model_files.hpp"

using namespace terrane;

namespace {

struct Run {
    test::SyntheticSource training{10, 32, 3};
    test::SyntheticSource validation{3, 32, 3};
    std::unique_ptr<device::Backend> backend = cpu::make_cpu_backend();
    std::unique_ptr<comm::Communicator> communicator = comm::self_communicator();
    test::Recorder recorder;
    std::int64_t stop_at = -1;

    std::vector<std::byte> train(const config::Config& config, const std::filesystem::path& folder) {
        train::TrainingSetup setup{config, training, &validation, *backend, *communicator, folder, recorder};
        setup.stop_requested = [this] {
            return static_cast<std::int64_t>(recorder.steps.size()) + 1 == stop_at;
        };
        train::Trainer trainer(setup);
        trainer.prepare();
        trainer.run();
        return test::bytes_of(trainer.store());
    }
};

std::vector<std::byte> trained(const config::Config& config) {
    test::TemporaryFolder folder;
    return Run().train(config, folder.path());
}

/// Predicts samples of a fixed content with the given keys, `batch` at once; joined class shares.
std::vector<float> predicted(const config::Diffusion& diffusion, std::int64_t batch,
                             const std::vector<std::int64_t>& keys, std::int64_t size = 32) {
    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    recipe::Design design;
    design.model.name = "pkdiff";
    design.model.diffusion = diffusion;
    design.inputs = {{{"optical", 2, 1}, {"dsm", 1, 1}}, 3, batch, size, size};
    design.task = nets::Task::predict;
    design.crop = 32;
    graph::ParameterStore store(*backend, recipe::parameter_graph(design));
    store.initialise(4);
    const auto inference = recipe::make_inference(design, {*backend, store, alone});
    inference->parameters_changed();
    std::vector<float> result;
    for (std::size_t first = 0; first < keys.size(); first += static_cast<std::size_t>(batch)) {
        for (const char* name : {"optical", "dsm"}) {
            const auto values = inference->input(name).span<float>();
            const std::size_t per_sample = values.size() / static_cast<std::size_t>(batch);
            for (std::size_t i = 0; i < values.size(); ++i) {
                const auto key = static_cast<double>(keys[first + i / per_sample]);
                values[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i % per_sample) + key));
            }
        }
        for (float& there : inference->input("presence").span<float>()) there = 1;
        inference->run(9, std::span(keys).subspan(first, static_cast<std::size_t>(batch)));
        const auto shares = inference->probabilities().span<float>();
        result.insert(result.end(), shares.begin(), shares.end());
    }
    return result;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
    REQUIRE(a.size() == b.size());
    double largest = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(largest, std::abs(double{a[i]} - double{b[i]}));
    return largest;
}

}  // namespace

TEST_CASE("a mini-batch of the recursion makes an update per timestep and scale") {
    test::TemporaryFolder folder;
    Run run;
    run.train(test::small_diffusion(), folder.path());
    REQUIRE(run.recorder.steps.size() == 3);
    for (const auto& step : run.recorder.steps) {
        CHECK(step.loss > 0);
        CHECK(step.loss < 2);
    }
    REQUIRE(run.recorder.evaluations.size() == 1);
    CHECK(run.recorder.evaluations[0].loss > 0);
}

TEST_CASE("two diffusion runs of the same configuration give the same bits, another seed gives others") {
    config::Config config = test::small_diffusion();
    const std::vector<std::byte> first = trained(config);
    CHECK((trained(config) == first));
    config.runtime.seed = 12;
    CHECK((trained(config) != first));
}

TEST_CASE("recomputed blocks leave the recursion's bits as they are, and need less memory") {
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    const std::vector<std::byte> kept = trained(config);
    config.train.recompute = "blocks";
    CHECK((trained(config) == kept));

    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    recipe::Design design;
    design.model = config.model;
    design.inputs = {{{"optical", 2, 1}, {"height", 1, 1}}, 3, 4, 32, 32};
    graph::ParameterStore store(*backend, recipe::parameter_graph(design));
    const std::size_t all = recipe::make_training(design, {*backend, store, alone})->bytes();
    design.plan.recompute = graph::Recompute::blocks;
    CHECK(recipe::make_training(design, {*backend, store, alone})->bytes() < all);
}

TEST_CASE("a diffusion run that was stopped and resumed ends with the bits of one that was not") {
    config::Config config = test::small_diffusion();
    config.train.steps = 4;
    config.train.batch = 2;                 // two micro-steps
    config.model.diffusion.max_patch = 16;  // and four patches at the finest scale
    const std::vector<std::byte> whole = trained(config);
    test::TemporaryFolder folder;
    Run before;
    before.stop_at = 2;
    before.train(config, folder.path());
    CHECK(before.recorder.steps.size() == 2);
    Run after;
    CHECK((after.train(config, folder.path()) == whole));
    CHECK(after.recorder.start.first_step == 2);
}

TEST_CASE("a pkdiff checkpoint is refused as ONNX, with what to do instead") {
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    test::TemporaryFolder folder;
    Run().train(config, folder.path());
    try {
        train::export_onnx(train::model_file_of((folder.path() / "last").string()),
                           folder.path() / "model.onnx", {});
        FAIL("no error");
    } catch (const Error& error) {
        CHECK(error.number() == 626);
        CHECK_THAT(error.fix(), test::contains("safetensors"));
    }
    CHECK_FALSE(std::filesystem::exists(folder.path() / "model.onnx"));
}

TEST_CASE("four timesteps learn two tiles by heart") {
    config::Config config = test::small_diffusion();
    config.model.diffusion.timesteps = 4;
    config.augment.flips = false;
    config.train.steps = 60;
    config.train.global_batch = 2;
    config.optim.lr = 4e-3;
    test::SyntheticSource tiles{2, 32, 3};
    const auto backend = cpu::make_cpu_backend();
    const auto self = comm::self_communicator();
    test::Recorder recorder;
    test::TemporaryFolder folder;
    train::TrainingSetup setup{config, tiles, &tiles, *backend, *self, folder.path(), recorder};
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    CHECK(recorder.evaluations.back().scores.miou > 0.95);
}

TEST_CASE("every loss of class shares changes what is learned") {
    std::vector<std::vector<std::byte>> models;
    for (const auto& [weight, value] : std::initializer_list<std::pair<double config::Diffusion::*, double>>{
             {&config::Diffusion::pk_weight, 0.075},
             {&config::Diffusion::pk_weight, 0},
             {&config::Diffusion::ce_weight, 0.5},
             {&config::Diffusion::dice_weight, 0.5}}) {
        config::Config config = test::small_diffusion();
        config.train.steps = 1;
        config.model.diffusion.*weight = value;
        models.push_back(trained(config));
    }
    for (std::size_t i = 0; i < models.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK((models[i] != models[j]));
    }
}

TEST_CASE("every way to go on with the state trains, and each differently") {
    std::vector<std::vector<std::byte>> models;
    for (const char* update : {"replace", "ema", "gated"}) {
        config::Config config = test::small_diffusion();
        config.train.steps = 1;
        config.model.diffusion.timesteps = 3;  // an average over time shows from the third on
        config.model.diffusion.update = update;
        models.push_back(trained(config));
    }
    CHECK((models[0] != models[1]));
    CHECK((models[1] != models[2]));
    CHECK((models[0] != models[2]));
}

TEST_CASE("predicted shares are on the simplex and depend on a sample's key, not on its batch") {
    config::Diffusion diffusion = test::small_diffusion().model.diffusion;
    for (const char* update : {"replace", "ema", "gated"}) {
        diffusion.update = update;
        const auto together = predicted(diffusion, 4, {5, 6, 7, -8});
        const auto alone = predicted(diffusion, 1, {5, 6, 7, -8});
        CHECK(largest_difference(together, alone) < 1e-4);
        for (std::size_t i = 0; i < together.size(); i += 3) {
            REQUIRE(together[i] + together[i + 1] + together[i + 2] == Approx(1).margin(1e-5));
        }
        const auto moved = predicted(diffusion, 2, {6, 5});
        CHECK(largest_difference({moved.begin(), moved.begin() + 3072},
                                 {together.begin() + 3072, together.begin() + 6144}) < 1e-4);
    }
}

TEST_CASE("an ensemble is the mean of its members") {
    config::Diffusion diffusion = test::small_diffusion().model.diffusion;
    const auto one = predicted(diffusion, 1, {3});
    diffusion.ensemble = 3;
    const auto three = predicted(diffusion, 1, {3});
    CHECK(largest_difference(one, three) > 1e-4);
    for (std::size_t i = 0; i < three.size(); i += 3) {
        REQUIRE(three[i] + three[i + 1] + three[i + 2] == Approx(1).margin(1e-5));
    }
}

TEST_CASE("maps larger than the training crop are predicted in patches of its size") {
    config::Diffusion diffusion = test::small_diffusion().model.diffusion;
    const auto shares = predicted(diffusion, 1, {3}, 64);
    REQUIRE(shares.size() == 64 * 64 * 3);
    for (std::size_t i = 0; i < shares.size(); i += 3) {
        REQUIRE(shares[i] + shares[i + 1] + shares[i + 2] == Approx(1).margin(1e-5));
    }
}

TEST_CASE("the published evaluation state leaves the simplex") {
    config::Diffusion diffusion = test::small_diffusion().model.diffusion;
    diffusion.state = "raw";
    const auto shares = predicted(diffusion, 1, {3});
    double furthest = 0;
    for (std::size_t i = 0; i < shares.size(); i += 3) {
        furthest = std::max(furthest,
                            std::abs(double{shares[i]} + double{shares[i + 1]} + double{shares[i + 2]} - 1));
    }
    CHECK(furthest > 1e-3);
}
