#pragma once

#include <cstdint>
#include <optional>

#include "config/training.hpp"

namespace terrane::data {

/// How the samples of one optimizer step are shared out.
struct BatchPlan {
    enum class Order {
        /// Micro-step m takes samples [m * ranks * batch, (m + 1) * ranks * batch) of the global batch and
        /// rank r
        /// the r-th `batch` of them, so that R ranks do in each micro-step what one rank with R times the
        /// batch
        /// does.
        micro_steps_first,
        /// Rank r takes samples [r * micro_steps * batch, (r + 1) * micro_steps * batch): each of its
        /// micro-steps
        /// is one of ranks * micro_steps shards, and which samples a shard has does not depend on the ranks.
        ranks_first,
    };

    std::int64_t ranks = 1;
    std::int64_t batch = 1;  ///< samples per rank and micro-step
    std::int64_t micro_steps = 1;
    Order order = Order::micro_steps_first;

    std::int64_t global_batch() const { return ranks * batch * micro_steps; }
    /// Index, within the global batch, of a rank's first sample of a micro-step.
    std::int64_t first_sample(std::int64_t rank, std::int64_t micro_step) const {
        return (order == Order::ranks_first ? rank * micro_steps + micro_step : micro_step * ranks + rank) *
               batch;
    }
};

/// train.global_batch is authoritative; train.batch = 0 means all of it in one micro-step. Throws Error E0504
/// (78) with the nearest valid choices if it can't be shared out evenly.
BatchPlan plan_batches(const config::Train& settings, std::int64_t ranks);

/// What a run that goes on with other ranks holds on to.
enum class KeptGroups {
    per_rank,   ///< samples of one rank and micro-step: statistics of batch norm are theirs
    all_ranks,  ///< samples of one micro-step on all ranks: they are exchanged
};
/// The plan of a run that began with `before`: accumulation adapts so that the same samples meet in one
/// micro-step as before, and with them the same statistics; nothing if that can't be, or if a rank would have
/// more samples at once than train.batch allows.
std::optional<BatchPlan> plan_continuation(const config::Train& settings, std::int64_t ranks,
                                           const BatchPlan& before, KeptGroups groups);

/// For runtime.deterministic = "ranks": every rank computes its equal share of train.virtual_shards shards,
/// one per micro-step. Throws Error E0504 (78) with the nearest valid choices if that can't be, E0509 (78) if
/// train.batch is set or the shards are no power of two.
BatchPlan plan_shards(const config::Train& settings, std::int64_t ranks);

}  // namespace terrane::data
