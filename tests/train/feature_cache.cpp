// Training from kept features of a frozen encoder against computing them in every step.
#include "train/feature_cache.hpp"

#include <algorithm>
#include <fstream>

#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;
namespace fs = std::filesystem;

namespace {

config::Config frozen_config(const fs::path& weights) {
    config::Config config = test::small_config();
    config.model.name = "setr_light";
    config.model.vit = {.patch = 4, .depth = 3, .width = 24, .heads = 3};
    config.model.frozen = "encoder";
    config.train.init_weights = weights;
    config.train.steps = 6;
    config.eval.every = 0;
    return config;
}

struct Result {
    std::vector<double> losses;
    std::vector<std::byte> model;
};

Result train_run(const config::Config& config, const fs::path& run, const fs::path& features) {
    test::SyntheticSource training(20, 16, 3);
    const auto backend = ref::make_ref_backend();
    const auto communicator = comm::self_communicator();
    test::Recorder recorder;
    train::TrainingSetup setup{config, training, nullptr, *backend, *communicator, run, recorder};
    setup.features = features;
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    Result result{{}, test::bytes_of(trainer.store())};
    for (const train::StepReport& step : recorder.steps) result.losses.push_back(step.loss);
    return result;
}

/// A checkpoint of one step, to be loaded and frozen.
void pretrain(const fs::path& folder, std::uint64_t seed = 11) {
    config::Config config = frozen_config("");
    config.model.frozen = "none";
    config.train.steps = 1;
    config.runtime.seed = seed;
    train_run(config, folder, {});
}

std::vector<fs::path> files_in(const fs::path& folder) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

void overwrite(const fs::path& file, std::int64_t from_end, const std::string& bytes) {
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(-from_end, std::ios::end);
    stream << bytes;
    REQUIRE(stream.good());
}

}  // namespace

TEST_CASE("training from kept features gives the bits of training with the frozen encoder") {
    test::TemporaryFolder first, computed, cached, again, features;
    pretrain(first.path());
    config::Config config = frozen_config(first.path() / "last");
    const bool narrow = GENERATE(true, false);
    config.train.precision = narrow ? "bf16" : "fp32";
    config.augment.flips = !narrow;
    CAPTURE(config.train.precision, config.augment.flips);
    const Result expected = train_run(config, computed.path(), {});
    const Result result = train_run(config, cached.path(), features.path());
    CHECK(result.losses == expected.losses);
    CHECK(result.model == expected.model);

    const std::vector<fs::path> files = files_in(features.path());
    REQUIRE(files.size() == 2);  // 16 tiles and 4
    const auto written = fs::last_write_time(files[0]);
    const double elements = 3.0 * 4 * 4 * 24;
    const double records = config.augment.flips ? 16 * 8 : 16;
    CHECK(static_cast<double>(fs::file_size(files[0])) >=
          records * elements * (config.train.precision == "bf16" ? 2 : 4));
    CHECK(train_run(config, again.path(), features.path()).losses == expected.losses);
    CHECK(fs::last_write_time(files[0]) == written);  // taken, not computed again
}

TEST_CASE("features of other weights are left alone, damaged ones named or computed again") {
    test::TemporaryFolder first, second, features, runs;
    pretrain(first.path());
    pretrain(second.path(), 12);
    config::Config config = frozen_config(first.path() / "last");
    const Result expected = train_run(config, runs.path() / "a", features.path());
    const std::vector<fs::path> files = files_in(features.path());

    config::Config other = config;
    other.train.init_weights = second.path() / "last";
    CHECK(train_run(other, runs.path() / "b", features.path()).losses != expected.losses);
    CHECK(files_in(features.path()).size() == 2 * files.size());

    // A file of other features under this name, and one cut short.
    for (const fs::path& foreign : files_in(features.path())) {
        if (foreign.parent_path() != files[0].parent_path() && foreign.filename() == files[0].filename())
            fs::copy_file(foreign, files[0], fs::copy_options::overwrite_existing);
    }
    fs::resize_file(files[1], fs::file_size(files[1]) / 2);
    CHECK(train_run(config, runs.path() / "c", features.path()).losses == expected.losses);

    // Numbers that changed: the structure is whole, so only reading them shows it.
    const auto size = static_cast<std::int64_t>(fs::file_size(files[0]));
    overwrite(files[0], size / 2, std::string(static_cast<std::size_t>(size / 4), '\x55'));
    CHECK_THROWS_WITH(train_run(config, runs.path() / "d", features.path()),
                      test::contains("the checksum of record"));
}

TEST_CASE("features are refused where samples are more than symmetries of their tiles") {
    test::TemporaryFolder first, features, run;
    pretrain(first.path());
    const config::Config good = frozen_config(first.path() / "last");
    const auto refusal = [&](const auto& change) {
        config::Config config = good;
        change(config);
        try {
            train_run(config, run.path(), features.path());
        } catch (const Error& error) {
            CHECK(error.number() == 517);
            CHECK(error.exit_code() == ExitCode::config_invalid);
            return error.message();
        }
        return std::string("accepted");
    };
    using test::contains;
    CHECK_THAT(refusal([](config::Config& c) { c.augment.rotation = 5; }), contains("rotated or zoomed"));
    CHECK_THAT(refusal([](config::Config& c) { c.augment.zoom = {1, 1.5}; }), contains("rotated or zoomed"));
    CHECK_THAT(refusal([](config::Config& c) { c.augment.contrast = 0.1; }), contains("contrast"));
    CHECK_THAT(refusal([](config::Config& c) { c.augment.crop = 8; }),
               contains("8 pixels are cut from tiles of 16"));
    CHECK_THAT(refusal([](config::Config& c) { c.model.modality_dropout = 0.1; }), contains("withheld"));
    CHECK_THAT(refusal([](config::Config& c) { c.model.frozen = "none"; }), contains("nothing is frozen"));
    CHECK_THAT(refusal([](config::Config& c) { c.model.frozen_dropout = true; }),
               contains("drop out at random"));
    CHECK_THAT(refusal([](config::Config& c) { c.train.init_weights = ""; }),
               contains("no frozen part of the network"));
}
