#pragma once

#include <cstdint>

#include "config/training.hpp"

namespace terrane::data {

/// How the samples of one optimizer step are shared out: micro-step m takes samples
/// [m * ranks * batch, (m + 1) * ranks * batch) of the global batch and rank r the r-th `batch` of them, so
/// that R ranks do in each micro-step what one rank with R times the batch does.
struct BatchPlan {
    std::int64_t ranks = 1;
    std::int64_t batch = 1;  ///< samples per rank and micro-step
    std::int64_t micro_steps = 1;

    std::int64_t global_batch() const { return ranks * batch * micro_steps; }
    /// Index, within the global batch, of a rank's first sample of a micro-step.
    std::int64_t first_sample(std::int64_t rank, std::int64_t micro_step) const {
        return (micro_step * ranks + rank) * batch;
    }
};

/// train.global_batch is authoritative; train.batch = 0 means all of it in one micro-step. Throws Error E0504
/// (78) with the nearest valid choices if it can't be shared out evenly.
BatchPlan plan_batches(const config::Train& settings, std::int64_t ranks);

}  // namespace terrane::data
