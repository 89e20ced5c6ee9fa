// Updates that are not finite, on one rank; tests/train/ranks.cpp has the agreement of several.
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;
using test::Run;

namespace {

config::Config with_steps(std::int64_t steps) {
    config::Config config = test::small_config();
    config.model.norm = "batch";
    config.train.steps = steps;
    config.eval.every = 0;
    return config;
}

/// Passes on a source whose tiles carry a value that is not a number.
class PoisonedSource final : public data::TileSource {
  public:
    explicit PoisonedSource(data::TileSource& source) : source_(source), layout_(source.layout()) {
        for (data::ModalityLayout& modality : layout_.modalities) {
            for (auto& band : modality.normalisation) {
                band.clip_low = -3.4e38f;
                band.clip_high = 3.4e38f;
            }
        }
    }
    const data::TileLayout& layout() const override { return layout_; }
    std::int64_t size() const override { return source_.size(); }
    std::span<const std::int64_t> class_pixels(std::int64_t tile) const override {
        return source_.class_pixels(tile);
    }
    std::string identity() const override { return source_.identity(); }
    std::string describe(std::int64_t tile) const override { return source_.describe(tile); }
    void read(std::int64_t tile, data::TileMemory& destination) override {
        source_.read(tile, destination);
        if (tile == poisoned) destination.modalities[1].values.span<float>()[7] = 3e38f;
    }
    std::int64_t poisoned = -1;

  private:
    data::TileSource& source_;
    data::TileLayout layout_;
};

}  // namespace

TEST_CASE("an update whose loss or gradient is not finite is left out, counted, and leaves no trace") {
    const auto fault = GENERATE("nan_gradient@step=2", "infinite_loss@step=2");
    CAPTURE(fault);
    test::TemporaryFolder disturbed, plain;
    Run run;
    {
        const test::Faults faults(fault);
        run.train(with_steps(3), disturbed.path());
    }
    REQUIRE(run.recorder.skips.size() == 1);
    CHECK(run.recorder.skips[0].step == 2);
    CHECK(run.recorder.skips[0].in_row == 1);
    CHECK_FALSE(run.recorder.skips[0].overflow);
    CHECK_THAT(run.recorder.skips[0].suspects, test::contains("Tiles of rank 0: synthetic tile"));
    CHECK(std::isnan(run.recorder.steps[1].loss));
    CHECK(std::isfinite(run.recorder.steps[2].loss));
    // The third mini-batch met the model that the first one left: parameters, moments and running statistics.
    CHECK(run.recorder.steps[2].loss != run.recorder.steps[0].loss);
    test::TemporaryFolder shortened;
    const test::Faults two("nan_gradient@step=2,nan_gradient@step=3");
    Run first;
    first.train(with_steps(3), shortened.path());
    Run one;
    one.train(with_steps(1), plain.path());
    CHECK(first.model == one.model);
    CHECK(first.recorder.skips.size() == 2);
    CHECK(first.recorder.skips[1].in_row == 2);
}

TEST_CASE("a pixel that makes activations overflow does not spoil the running statistics") {
    test::TemporaryFolder folder;
    const config::Config config = with_steps(4);
    Run run(8);
    PoisonedSource source(run.training);
    source.poisoned = 3;
    train::TrainingSetup setup{config,        source,      nullptr, *run.backend, *run.communicator,
                               folder.path(), run.recorder};
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    // Eight tiles in batches of four: the tile occurs twice.
    REQUIRE(run.recorder.skips.size() == 2);
    CHECK_THAT(run.recorder.skips[0].suspects, test::contains("synthetic tile 3"));
    for (const auto& state : trainer.store().states()) {
        if (state.saved == graph::Saved::no) continue;
        for (const float value : state.view().span<float>()) REQUIRE(std::isfinite(value));
    }
}

TEST_CASE("too many updates in a row that are not finite end the run, with tiles and ranges of all tensors") {
    test::TemporaryFolder folder;
    config::Config config = with_steps(9);
    config.train.max_bad_steps = 3;
    const test::Faults faults("nan_gradient@step=2,nan_gradient@step=4;times=5");
    Run run;
    CHECK_THROWS_WITH(run.train(config, folder.path()),
                      test::contains("E0520") &&
                          test::contains("the gradient is not finite at step 6 (3 updates in a row)"));
    REQUIRE(run.recorder.divergences.size() == 1);
    const train::Divergence& found = run.recorder.divergences[0];
    CHECK(found.step == 6);
    REQUIRE(found.micro_steps.size() == 1);
    CHECK(found.micro_steps[0].tiles.size() == 4);
    std::int64_t bad = 0, gradients = 0;
    for (const train::TensorRange& range : found.tensors) {
        bad += range.not_finite;
        if (range.kind == train::TensorRange::Kind::gradient) ++gradients;
        CHECK(std::isfinite(range.largest));
    }
    CHECK(bad == 1);
    CHECK(gradients > 10);
    const auto json = nlohmann::json::parse(train::to_json(found));
    CHECK(json["step"] == 6);
    CHECK(json["tensors"].size() == found.tensors.size());
    CHECK(json["micro_steps"][0]["tiles"].size() == 4);
}

TEST_CASE("what was counted goes on after a resume") {
    test::TemporaryFolder whole, parts;
    config::Config config = with_steps(6);
    const test::Faults faults("nan_gradient@step=2,nan_gradient@step=3,nan_gradient@step=4");
    Run uninterrupted;
    uninterrupted.train(config, whole.path());
    Run before;
    before.stop_at = 3;
    before.train(config, parts.path());
    Run after;
    after.train(config, parts.path());
    REQUIRE(after.recorder.skips.size() == 1);
    CHECK(after.recorder.skips[0].in_row == 3);
    CHECK(after.model == uninterrupted.model);
}
