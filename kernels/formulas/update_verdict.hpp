#pragma once

#include <cmath>

#include "formulas/loss_scale.hpp"

/// Whether an update is made, and with which numbers: a few scalars, the same on every backend.
namespace terrane::formulas {

TERRANE_HOST_DEVICE inline bool is_finite(double value) {
    return value * 0 == 0;  // neither infinity nor NaN is
}

TERRANE_HOST_DEVICE inline void total_losses(const device::LossTerm* losses, std::int64_t count,
                                             double* totals) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += losses[i].weight * losses[i].value[0];
    totals[0] = sum;
    totals[1] = losses[0].value[1];
}

/// This rank's part.
TERRANE_HOST_DEVICE inline void gather(const device::UpdateFacts& facts, device::UpdateRecord& record) {
    device::UpdateSums sums;
    for (std::int64_t i = 0; i < facts.losses.passes; ++i) {
        sums.loss += facts.losses.totals[2 * i];
        sums.normaliser += facts.losses.totals[2 * i + 1];
    }
    sums.normaliser *= facts.losses.normaliser_share;
    double squares = 0;
    for (std::int64_t i = 0; i < facts.parts; ++i) {
        if (record.updates >= facts.first_updates[i]) squares += facts.squares[i];
    }
    record.norm_of_sums = std::sqrt(squares);
    double not_finite = 0;
    for (std::int64_t i = 0; i < facts.counts; ++i) not_finite += facts.not_finite[i];
    sums.votes_to_stop = record.order.votes_to_stop;
    sums.bad_gradients = is_finite(record.norm_of_sums) ? 0 : 1;
    sums.bad_states = not_finite > 0 ? 1 : 0;
    record.sums = sums;
}

/// Losses and gradients are sums over pixels; only here, with the sum of weights of all ranks and passes at
/// hand, they become means: N ranks with batch B do what one rank with batch N * B does. With the mean
/// gradient's norm n and the limit c the clipping factor is min(1, c / (n + 1e-6)), as in PyTorch; the
/// average's decay is min(d, (1 + t) / (10 + t)) after t updates, so that the random start is soon forgotten.
TERRANE_HOST_DEVICE inline device::UpdateScalars scalars_of(const device::UpdateRules& rules,
                                                            const device::UpdateRecord& record,
                                                            double normaliser) {
    device::UpdateScalars scalars;
    scalars.is_made = true;
    double clip = 1;
    if (rules.clip_norm > 0) {
        const double factor = rules.clip_norm / (record.gradient_norm + 1e-6);
        clip = factor < 1 ? factor : 1;
    }
    scalars.rate = record.order.rate;
    scalars.gradient_scale = clip / normaliser;
    scalars.weight_decay = rules.weight_decay;
    scalars.decay = rules.decay;
    scalars.momentum = rules.momentum;
    scalars.beta1 = rules.beta1;
    scalars.beta2 = rules.beta2;
    scalars.epsilon = rules.epsilon;
    scalars.step = record.updates + 1;
    const double count = static_cast<double>(scalars.step), soon = (1 + count) / (10 + count);
    scalars.average_keep = rules.average_decay < soon ? rules.average_decay : soon;
    return scalars;
}

/// By the sums over all ranks: what is not finite on one is left out by all. A batch without a labelled pixel
/// counts as an update that changes nothing.
TERRANE_HOST_DEVICE inline void judge(const device::UpdateRules& rules, device::UpdateRecord& record) {
    using device::Verdict;
    const device::UpdateSums& sums = record.sums;
    record.verdict = !is_finite(sums.loss)    ? Verdict::bad_loss
                     : sums.bad_gradients > 0 ? Verdict::bad_gradient
                     : sums.bad_states > 0    ? Verdict::bad_states
                                              : Verdict::made;
    record.is_overflow = false;
    record.gradient_norm = 0;
    record.scalars = {};
    record.scalars.is_made = false;
    if (record.verdict != Verdict::made) {
        record.is_overflow = rules.scales_loss && count_overflow(record.loss_scale);
        return;
    }
    const double normaliser = sums.normaliser * record.loss_scale.value;
    if (normaliser != 0) {
        record.gradient_norm = record.norm_of_sums / normaliser;
        if (is_finite(record.gradient_norm)) record.scalars = scalars_of(rules, record, normaliser);
    }
    ++record.updates;
    if (rules.scales_loss) count_good(record.loss_scale);
}

}  // namespace terrane::formulas
