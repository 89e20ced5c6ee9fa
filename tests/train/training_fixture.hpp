#pragma once

#include "base/fault.hpp"
#include "comm/communicator.hpp"
#include "ref/backend.hpp"
#include "support/synthetic_source.hpp"
#include "support/temporary_folder.hpp"
#include "train/trainer.hpp"

namespace terrane::test {

/// A small network on synthetic tiles; the reference backend, so that it runs wherever the program builds.
inline config::Config small_config() {
    config::Config config;
    config.classes = {{0, "a", {}, 0}, {1, "b", {}, 0}, {2, "c", {}, 0}};
    config.model.encoder_width = 8;
    config.model.decoder_channels = 16;
    config.model.aspp_channels = 16;
    config.model.aspp_rates = {1, 2};
    config.model.dropout = 0;
    config.optim.lr = 3e-3;
    config.train.steps = 4;
    config.train.global_batch = 4;
    config.train.prefetch = 2;
    config.runtime.seed = 11;
    return config;
}

/// Keeps what a trainer reported.
struct Recorder final : train::TrainingObserver {
    train::RunReport start;
    std::vector<train::StepReport> steps;
    std::vector<train::EvaluationReport> evaluations;
    std::vector<std::int64_t> checkpoints;

    std::vector<train::SkipReport> skips;
    std::vector<train::SaveResult> saves;
    std::vector<train::Divergence> divergences;
    std::vector<train::StopReport> stops;

    void on_start(const train::RunReport& report) override { start = report; }
    void on_step(const train::StepReport& report) override { steps.push_back(report); }
    void on_evaluation(const train::EvaluationReport& report) override { evaluations.push_back(report); }
    void on_checkpoint(std::int64_t step) override { checkpoints.push_back(step); }
    void on_skip(const train::SkipReport& report) override { skips.push_back(report); }
    void on_saved(const train::SaveResult& result) override { saves.push_back(result); }
    void on_divergence(const train::Divergence& divergence) override { divergences.push_back(divergence); }
    void on_stop(const train::StopReport& report) override { stops.push_back(report); }
};

/// Faults for as long as it lives.
struct Faults {
    explicit Faults(const std::string& text, int rank = 0) { fault::arm(text, rank); }
    ~Faults() { fault::disarm(); }
};

/// All bytes of the parameters and saved states, in the store's order.
inline std::vector<std::byte> bytes_of(const graph::ParameterStore& store) {
    std::vector<std::byte> bytes;
    const auto append = [&](const TensorView& tensor) {
        bytes.insert(bytes.end(), tensor.data, tensor.data + tensor.bytes());
    };
    for (const auto& entry : store.entries()) append(store.parameter(entry));
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) append(state.view());
    }
    return bytes;
}

/// A training on one rank with the reference backend.
struct Run {
    explicit Run(std::int64_t tiles = 10) : training(tiles, 32, 3) {}

    SyntheticSource training;
    SyntheticSource validation{3, 32, 3};
    std::unique_ptr<device::Backend> backend = ref::make_ref_backend();
    std::unique_ptr<comm::Communicator> communicator = comm::self_communicator();
    Recorder recorder;
    std::int64_t stop_at = -1;

    train::Trainer::Outcome outcome = train::Trainer::Outcome::finished;
    std::vector<std::byte> model;

    /// Trains and keeps the resulting bytes.
    Run& train(const config::Config& config, const std::filesystem::path& folder) {
        train::TrainingSetup setup{config, training, &validation, *backend, *communicator, folder, recorder};
        setup.stop_requested = [this] {
            return static_cast<std::int64_t>(recorder.steps.size()) + 1 == stop_at;
        };
        train::Trainer trainer(setup);
        trainer.prepare();
        outcome = trainer.run();
        model = bytes_of(trainer.store());
        return *this;
    }
};

}  // namespace terrane::test
