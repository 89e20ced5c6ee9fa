#include "train/trainer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/activity.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
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
        // Whoever looks at the model sees it after the step that was begun last.
        if (state_.evaluation_pending || checkpoint_is_due(false) || state_.step == total_steps_)
            finish_steps();
        const bool evaluated = state_.evaluation_pending && !stop_agreed_ && evaluate();
        if (checkpoint_is_due(evaluated)) save();
        look_after_saving();
    }
    finish_saving();
    return is_unfinished() ? Outcome::stopped_early : Outcome::finished;
}

// The training step: one mini-batch, which is one update for most networks and several for those that go on
// from their own answers (recipe::Training). Where the device has a queue the step is only queued here, and
// the host learns what became of the step before.
void Trainer::step() {
    const auto begin = std::chrono::steady_clock::now();
    const double waited_before = feed_.wait_seconds();
    fault::reached(fault::Place::step, state_.step + 1);
    QueuedStep& queued = steps_[static_cast<std::size_t>(state_.step) % steps_.size()];
    queued.begin = begin;
    queued.report = {};
    queued.report.rate = schedule_.rate(state_.step, state_.plateau.reductions);
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
             [this, &queued](std::int64_t micro_step) {
                 const device::NamedPhase phase(setup_.backend, "samples");
                 const int slot = feed_.take();
                 activity::set_work("training");
                 const auto current = feed_.current();
                 if (features_ != nullptr) features_->fill(current);
                 queued.draws[static_cast<std::size_t>(micro_step)].assign(current.begin(), current.end());
                 return slot;
             },
         .look_ahead =
             [this](std::int64_t micro_step) {
                 const bool is_last = micro_step + 1 == batches_.micro_steps;
                 if (!is_last || state_.step + 1 < total_steps_) feed_.look_ahead();
             },
         .shard_done = shards_ == nullptr
                           ? decltype(recipe::MiniBatch::shard_done){}
                           : [this, &queued](std::int64_t shard, const graph::LossTotals& totals) {
                                 queued.losses[static_cast<std::size_t>(shard)] = totals.sum;
                                 shards_->add(shard, totals);
                             },
         .update = [this, &queued](const device::PassLosses& losses) {
             queue_update(losses, queued.report.rate);
         }});
    queued.report.epoch = epoch();
    queued.report.step = ++state_.step;
    queued.report.samples = batches_.global_batch();
    queued.report.io_wait = feed_.wait_seconds() - waited_before;
    ++steps_queued_;
    while (steps_queued_ > steps_ahead_) finish_step();
    if (stop_voted_) finish_steps();
}

// Queues one update. All that decides about it lies on the device: whether everything is finite, the sum of
// weights of all ranks and micro-steps, the loss scale.
void Trainer::queue_update(const device::PassLosses& of_passes, double rate) {
    activity::set_work("updating the weights");
    device::PassLosses losses = of_passes;
    if (shards_ != nullptr) losses = totals_of_shards();
    if (fault::armed()) [[unlikely]]
        order_faults(losses);
    const device::NamedPhase phase(setup_.backend, "update");
    update_.queue({.rate = rate, .votes_to_stop = wants_to_stop() ? 1.0 : 0.0}, losses);
    training_->parameters_changed();
}

// They are those of all ranks already: one rank brings them.
device::PassLosses Trainer::totals_of_shards() {
    graph::LossTotals totals = shards_->finish();
    if (communicator_.rank() != 0) totals = {};
    const std::array<double, 2> values{totals.sum, totals.normaliser};
    setup_.backend.copy_to_device(shard_losses_.data(), reinterpret_cast<const std::byte*>(values.data()),
                                  sizeof(values));
    return {reinterpret_cast<double*>(shard_losses_.data()), 1, 1};
}

void Trainer::finish_steps() {
    while (steps_queued_ > 0) finish_step();
    if (stop_voted_ && !stop_agreed_) agree_to_stop();
}

// Waits for the oldest step that is queued.
void Trainer::finish_step() {
    QueuedStep& done = steps_[static_cast<std::size_t>(state_.step - steps_queued_) % steps_.size()];
    std::int64_t made = 0;
    for (std::int64_t i = 0; i < training_->updates(); ++i) {
        if (finish_update(update_.take(), done)) ++made;
    }
    --steps_queued_;
    StepReport& report = done.report;
    const double none = std::numeric_limits<double>::quiet_NaN();
    report.loss = made > 0 ? report.loss / static_cast<double>(made) : none;
    report.gradient_norm = made > 0 ? report.gradient_norm / static_cast<double>(made) : none;
    // Steps overlap: each has the time since the one before was done.
    const auto now = std::chrono::steady_clock::now();
    seconds_of_step_ = std::chrono::duration<double>(now - std::max(done.begin, step_done_)).count();
    step_done_ = now;
    report.seconds = seconds_of_step_;
    if (made > 0) {
        state_.loss_since_evaluation += report.loss;
        ++state_.steps_since_evaluation;
    }
    if (report.step % steps_per_epoch_ == 0) {
        report.gradient_sum = time_gradient_sum();
        step_done_ = std::chrono::steady_clock::now();
    }
    setup_.observer.on_step(report);
}

// The gradients are those of a step that is done, or become so here; the next step begins with new ones.
std::optional<GradientSum> Trainer::time_gradient_sum() {
    device::Collectives* const sums = setup_.device_sums;
    if (sums == nullptr || !sums->are_queued() || sums->size() == 1) return std::nullopt;
    const std::span<float> gradients = store_.gradient_values();
    setup_.backend.synchronise();
    communicator_.barrier();
    const auto begin = std::chrono::steady_clock::now();
    sums->wait(sums->start_sum(gradients));
    setup_.backend.synchronise();
    std::array<double, 1> seconds{
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()};
    communicator_.max(seconds);
    const auto bytes = static_cast<double>(gradients.size_bytes()), ranks = static_cast<double>(sums->size());
    return GradientSum{bytes, 2 * (ranks - 1) / ranks * bytes / seconds[0]};
}

// What became of an update; true if it was made.
bool Trainer::finish_update(const Update::Result& result, QueuedStep& step) {
    const device::UpdateRecord& record = result.record;
    loss_scale_ = record.loss_scale;
    stop_voted_ = stop_voted_ || record.sums.votes_to_stop > 0;
    if (shards_ == nullptr) {
        // The last pass of each micro-step.
        const std::size_t per_micro_step = result.losses.size() / step.losses.size();
        for (std::size_t m = 0; m < step.losses.size(); ++m)
            step.losses[m] = result.losses[(m + 1) * per_micro_step - 2];
    }
    if (record.verdict != device::Verdict::made) {
        skip(record, step);
        return false;
    }
    state_.skipped_in_row = 0;
    const auto& [loss, normaliser, votes, gradients, states] = record.sums;
    step.report.loss += normaliser > 0 ? loss / normaliser : 0;
    step.report.gradient_norm += record.gradient_norm;
    return true;
}

// The update was not made: parameters and moments are what they were, running statistics have gone back.
void Trainer::skip(const device::UpdateRecord& record, const QueuedStep& step) {
    const char* const what = record.verdict == device::Verdict::bad_loss       ? "loss"
                             : record.verdict == device::Verdict::bad_gradient ? "gradient"
                                                                               : "statistics of batch norm";
    ++state_.skipped;
    SkipReport report;
    report.step = step.report.step;
    report.what = what;
    report.limit = config_.train.max_bad_steps;
    report.overflow = record.is_overflow;
    report.loss_scale = record.loss_scale.value;
    if (!report.overflow) ++state_.skipped_in_row;
    report.in_row = state_.skipped_in_row;
    const std::vector<MicroStepRecord> everywhere = gather_records(records(step), communicator_);
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

std::vector<MicroStepRecord> Trainer::records(const QueuedStep& step) const {
    std::vector<MicroStepRecord> all;
    for (std::size_t m = 0; m < step.draws.size(); ++m) {
        MicroStepRecord record{communicator_.rank(), static_cast<std::int64_t>(m), step.losses[m], {}};
        for (const data::SampleDraw& sample : step.draws[m])
            record.tiles.push_back(setup_.training.describe(sample.tile));
        all.push_back(std::move(record));
    }
    return all;
}

void Trainer::order_faults(const device::PassLosses& losses) {
    const std::int64_t step = state_.step + 1;
    if (fault::is_due(fault::Kind::nan_gradient, fault::Place::step, step)) {
        change_middle(store_.gradient_values(),
                      [](float) { return std::numeric_limits<float>::quiet_NaN(); });
    }
    if (fault::is_due(fault::Kind::infinite_loss, fault::Place::step, step)) {
        const double infinite = std::numeric_limits<double>::infinity();
        setup_.backend.copy_to_device(reinterpret_cast<std::byte*>(losses.totals),
                                      reinterpret_cast<const std::byte*>(&infinite), sizeof(infinite));
    }
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
    // Time for the steps until all know of it and for the checkpoint, taken as somewhat slower than before.
    constexpr double margin = 1.5;
    const std::chrono::duration<double> left = *setup_.deadline - std::chrono::steady_clock::now();
    const double steps = static_cast<double>(1 + steps_ahead_);
    return left.count() < margin * (steps * seconds_of_step_ + save_seconds_);
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
        return evaluator_->run([this] { return wants_to_stop(); });
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
