#pragma once

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

    void on_start(const train::RunReport& report) override { start = report; }
    void on_step(const train::StepReport& report) override { steps.push_back(report); }
    void on_evaluation(const train::EvaluationReport& report) override { evaluations.push_back(report); }
    void on_checkpoint(std::int64_t step) override { checkpoints.push_back(step); }
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

}  // namespace terrane::test
