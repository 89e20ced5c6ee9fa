#include "train/trainer.hpp"

#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/activity.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "optim/parameter_groups.hpp"
#include "optim/plateau.hpp"
#include "train/class_weights.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"

namespace terrane::train {

Trainer::Outcome Trainer::run() {
    start_saving();
    start_feeding();
    setup_.observer.on_start(plan());
    const auto is_unfinished = [this] { return state_.step < total_steps_ || state_.evaluation_pending; };
    while (is_unfinished() && !stop_agreed_) {
        if (!state_.evaluation_pending) {
            step();
            state_.evaluation_pending = evaluation_is_due();
        }
        const bool evaluated = state_.evaluation_pending && !stop_agreed_ && evaluate();
        if (checkpoint_is_due(evaluated)) save();
        look_after_saving();
    }
    finish_saving();
    return is_unfinished() ? Outcome::stopped_early : Outcome::finished;
}

// The training step: one mini-batch, which is one update for most networks and several for those that go on
// from their own answers (recipe::Training).
void Trainer::step() {
    const auto begin = std::chrono::steady_clock::now();
    const double waited_before = feed_.wait_seconds();
    fault::reached(fault::Place::step, state_.step + 1);
    StepReport report;
    skipped_in_step_ = 0;
    report.rate = schedule_.rate(state_.step, state_.plateau.reductions);
    training_->run(
        {.seed = config_.runtime.seed,
         .step = state_.step,
         .micro_steps = batches_.micro_steps,
         .ranks = communicator_.size(),
         .rank = communicator_.rank(),
         .batch = batches_.batch,
         .order =
             [this](std::int64_t micro_step) {
                 return batches_.first_sample(communicator_.rank(), micro_step);
             },
         .fill =
             [this](std::int64_t micro_step) {
                 const device::NamedPhase phase(setup_.backend, "samples");
                 const int slot = feed_.take();
                 activity::set_work("training");
                 const auto current = feed_.current();
                 if (features_ != nullptr) features_->fill(current);
                 draws_[static_cast<std::size_t>(micro_step)].assign(current.begin(), current.end());
                 return slot;
             },
         .look_ahead =
             [this](std::int64_t micro_step) {
                 const bool is_last = micro_step + 1 == batches_.micro_steps;
                 if (is_last && shards_ == nullptr) queue_check();
                 if (!is_last || state_.step + 1 < total_steps_) feed_.look_ahead();
             },
         .passed =
             [this](std::int64_t micro_step, const graph::LossTotals& totals) {
                 losses_[static_cast<std::size_t>(micro_step)] = totals.sum;
             },
         .shard_done = shards_ == nullptr
                           ? decltype(recipe::MiniBatch::shard_done){}
                           : [this](std::int64_t shard,
                                    const graph::LossTotals& totals) { shards_->add(shard, totals); },
         .update = [this, &report](const graph::LossTotals& local) { update(local, report); }});

    report.epoch = epoch();
    report.step = ++state_.step;
    const std::int64_t updates = training_->updates() - skipped_in_step_;
    const double none = std::numeric_limits<double>::quiet_NaN();
    report.loss = updates > 0 ? report.loss / static_cast<double>(updates) : none;
    report.gradient_norm = updates > 0 ? report.gradient_norm / static_cast<double>(updates) : none;
    report.samples = batches_.global_batch();
    report.io_wait = feed_.wait_seconds() - waited_before;
    seconds_of_step_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    report.seconds = seconds_of_step_;
    if (updates > 0) {
        state_.loss_since_evaluation += report.loss;
        ++state_.steps_since_evaluation;
    }
    setup_.observer.on_step(report);
    if (stop_agreed_) agree_to_stop();
}

std::int64_t Trainer::updates_made() const {
    return state_.step * training_->updates() + updates_in_step_ - state_.skipped;
}

// Queued behind the last pass, so that the host learns of it with the losses.
void Trainer::queue_check() {
    if (fault::armed()) [[unlikely]]
        order_gradient_fault();
    check_.queue(updates_made());
}

// One optimizer update. Losses and gradients are sums over pixels; only here, with the sum of weights of all
// ranks and micro-steps at hand, they become means: N ranks with batch B do what one rank with batch N * B
// does. What is not finite on one rank is left out by all.
void Trainer::update(const graph::LossTotals& totals, StepReport& report) {
    activity::set_work("updating the weights");
    graph::LossTotals local = totals;
    if (shards_ != nullptr) {
        local = shards_->finish();
        if (communicator_.rank() != 0) local = {};  // the totals are those of all ranks already
    }
    if (fault::armed()) [[unlikely]]
        order_faults(local);
    const std::int64_t number = updates_made();
    const device::NamedPhase phase(setup_.backend, "update");
    // Networks of several updates, and shards, have complete gradients only now.
    if (!check_.is_queued()) {
        queue_check();
        setup_.backend.synchronise();
    }
    const UpdateCheck::Result check = check_.take();
    const double norm = check.norm_of_sums;
    std::array<double, 5> global{local.sum, local.normaliser, wants_to_stop() ? 1.0 : 0.0,
                                 std::isfinite(norm) ? 0.0 : 1.0, check.states_are_finite ? 0.0 : 1.0};
    communicator_.sum(global);
    const auto [loss_sum, normaliser, stop_votes, bad_gradients, bad_states] = global;
    stop_agreed_ = stop_agreed_ || stop_votes > 0;
    updates_in_step_ = (updates_in_step_ + 1) % training_->updates();
    if (!std::isfinite(loss_sum)) return skip("loss");
    if (bad_gradients > 0) return skip("gradient");
    if (bad_states > 0) return skip("statistics of batch norm");
    const optim::UpdateReport update =
        optimizer_.update(store_.trainable_values(), store_.gradient_values(), norm,
                          normaliser * loss_scale_.value(), report.rate, number);
    training_->parameters_changed();
    good_states_.keep();
    if (loss_scale_.good()) hand_out_loss_scale();
    state_.skipped_in_row = 0;
    report.loss += normaliser > 0 ? loss_sum / normaliser : 0;
    report.gradient_norm += update.gradient_norm;
}

void Trainer::hand_out_loss_scale() {
    if (design_.compute != DType::f16) return;
    const auto value = static_cast<float>(loss_scale_.value());
    setup_.backend.copy_to_device(store_.state(graph::loss_scale_state).data,
                                  reinterpret_cast<const std::byte*>(&value), sizeof(value));
}

// The update that is not made: parameters and moments stay as they are, running statistics go back.
void Trainer::skip(const char* what) {
    good_states_.restore();
    training_->parameters_changed();
    ++state_.skipped;
    ++skipped_in_step_;
    SkipReport report;
    report.step = state_.step + 1;
    report.what = what;
    report.limit = config_.train.max_bad_steps;
    report.overflow = loss_scale_.overflowed();
    hand_out_loss_scale();
    report.loss_scale = loss_scale_.value();
    if (!report.overflow) ++state_.skipped_in_row;
    report.in_row = state_.skipped_in_row;
    const std::vector<MicroStepRecord> everywhere = gather_records(records(), communicator_);
    report.suspects = suspects_text(everywhere);
    setup_.observer.on_skip(report);
    if (report.in_row < report.limit) return;
    setup_.observer.on_divergence(
        {report.step, what, report.in_row, everywhere, tensor_ranges(store_, setup_.backend)});
    throw Error(
        ExitCode::diverged, 520,
        fmt::format("the {} is not finite at step {} ({} in a row).{}", what, report.step,
                    report.in_row == 1 ? "1 update" : fmt::format("{} updates", report.in_row),
                    report.suspects),
        "Lower optim.lr, lengthen optim.warmup_steps, set optim.clip_norm, or look at those tiles; the last "
        "checkpoint is intact.");
}

std::vector<MicroStepRecord> Trainer::records() const {
    std::vector<MicroStepRecord> all;
    for (std::size_t m = 0; m < draws_.size(); ++m) {
        MicroStepRecord record{communicator_.rank(), static_cast<std::int64_t>(m), losses_[m], {}};
        for (const data::SampleDraw& sample : draws_[m])
            record.tiles.push_back(setup_.training.describe(sample.tile));
        all.push_back(std::move(record));
    }
    return all;
}

void Trainer::order_gradient_fault() {
    if (fault::is_due(fault::Kind::nan_gradient, fault::Place::step, state_.step + 1)) {
        change_middle(store_.gradient_values(),
                      [](float) { return std::numeric_limits<float>::quiet_NaN(); });
    }
}

void Trainer::order_faults(graph::LossTotals& local) {
    const std::int64_t step = state_.step + 1;
    if (fault::is_due(fault::Kind::infinite_loss, fault::Place::step, step))
        local.sum = std::numeric_limits<double>::infinity();
    if (fault::is_due(fault::Kind::flip_weight_bit, fault::Place::step, step)) {
        change_middle(store_.trainable_values(), [](float weight) {
            return std::bit_cast<float>(std::bit_cast<std::uint32_t>(weight) ^ 1u);
        });
    }
}

/// The values may lie on a device.
void Trainer::change_middle(std::span<float> values, const std::function<float(float)>& change) {
    float value = 0;
    auto* const host = reinterpret_cast<std::byte*>(&value);
    auto* const place = reinterpret_cast<std::byte*>(&values[values.size() / 2]);
    setup_.backend.copy_to_host(host, place, sizeof(value));
    value = change(value);
    setup_.backend.copy_to_device(place, host, sizeof(value));
}

bool Trainer::wants_to_stop() const {
    if (setup_.stop_requested()) return true;
    if (!setup_.deadline) return false;
    // Time for one more step and for the checkpoint, both taken as somewhat slower than before.
    constexpr double margin = 1.5;
    const std::chrono::duration<double> left = *setup_.deadline - std::chrono::steady_clock::now();
    return left.count() < margin * (seconds_of_step_ + save_seconds_);
}

// All ranks know that some rank wants to stop; now they learn which, and why.
void Trainer::agree_to_stop() {
    stop_agreed_ = true;
    std::string cause;
    if (setup_.stop_requested()) {
        cause = setup_.stop_cause();
    } else if (wants_to_stop()) {
        cause = "time";
    }
    const std::vector<std::string> causes = communicator_.all_gather(cause);
    StopReport report{state_.step, 0, setup_.deadline ? "time" : "request"};
    for (std::size_t rank = 0; rank < causes.size(); ++rank) {
        if (causes[rank].empty()) continue;
        report.rank = static_cast<std::int64_t>(rank);
        report.cause = causes[rank];
        break;
    }
    setup_.observer.on_stop(report);
}

bool Trainer::evaluate() {
    // The moving average of the weights, if there is one, is what is scored and saved.
    const std::optional<Evaluation> evaluation = [&] {
        const optim::AveragedWeights averaged(optimizer_, store_.trainable_values());
        return evaluator_->run([this] { return wants_to_stop(); }, setup_.patience);
    }();
    if (!evaluation) {
        agree_to_stop();
        return false;
    }
    EvaluationReport report;
    report.step = state_.step;
    report.epoch = (state_.step - 1) / steps_per_epoch_ + 1;
    report.training_loss =
        state_.steps_since_evaluation > 0
            ? state_.loss_since_evaluation / static_cast<double>(state_.steps_since_evaluation)
            : 0;
    report.loss = evaluation->loss;
    report.scores = report::score(evaluation->confusion);
    report.confusion = evaluation->confusion;
    report.seconds = evaluation->seconds;
    report.predictions = evaluation->predictions;
    const double score = report.scores.by_name(config_.eval.best);
    report.best = score > state_.best_score;
    if (report.best) {
        state_.best_score = score;
        state_.best_step = state_.step;
    }
    optim::observe(state_.plateau, config_.optim, score, report.loss);
    state_.loss_since_evaluation = 0;
    state_.steps_since_evaluation = 0;
    state_.evaluation_pending = false;
    saved_step_ = -1;  // a checkpoint of this step, if there is one, does not know of the evaluation
    setup_.observer.on_evaluation(report);
    return true;
}

std::int64_t Trainer::epoch() const {
    return state_.step / steps_per_epoch_ + 1;
}

bool Trainer::evaluation_is_due() const {
    if (evaluator_ == nullptr) return false;
    if (state_.step == total_steps_) return true;
    if (config_.eval.every_steps > 0) return state_.step % config_.eval.every_steps == 0;
    return config_.eval.every > 0 && state_.step % (config_.eval.every * steps_per_epoch_) == 0;
}

bool Trainer::checkpoint_is_due(bool evaluated) const {
    // The best model is saved whenever it is found, or it would be gone with the next step.
    if (evaluated && state_.best_step == state_.step) return true;
    if (config_.checkpoint.every > 0) return state_.step % config_.checkpoint.every == 0;
    return evaluated || (evaluator_ == nullptr && state_.step % steps_per_epoch_ == 0);
}

}  // namespace terrane::train
