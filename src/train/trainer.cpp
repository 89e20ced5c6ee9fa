#include "train/trainer.hpp"

#include <array>
#include <chrono>
#include <cmath>

#include "base/log.hpp"
#include "optim/parameter_groups.hpp"
#include "optim/plateau.hpp"
#include "train/class_weights.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"

namespace terrane::train {

Trainer::Outcome Trainer::run() {
    start_feeding();
    setup_.observer.on_start(plan());
    while (state_.step < total_steps_ && !stop_agreed_) {
        step();
        const bool evaluated = evaluation_is_due();
        if (evaluated) evaluate();
        if (checkpoint_is_due(evaluated)) save(SaveFailure::warn);
    }
    if (saved_step_ != state_.step) save(SaveFailure::raise);
    return state_.step < total_steps_ ? Outcome::stopped_early : Outcome::finished;
}

// The training step: one mini-batch, which is one update for most networks and several for those that go on
// from their own answers (recipe::Training).
void Trainer::step() {
    const auto begin = std::chrono::steady_clock::now();
    const double waited_before = feeder_->wait_seconds();
    StepReport report;
    report.rate = schedule_.rate(state_.step, state_.plateau.reductions);
    training_->run({.seed = config_.runtime.seed,
                    .step = state_.step,
                    .micro_steps = batches_.micro_steps,
                    .ranks = communicator_.size(),
                    .rank = communicator_.rank(),
                    .batch = batches_.batch,
                    .fill =
                        [this](std::int64_t micro_step) {
                            feeder_->next(slots_);
                            const auto current = feeder_->current();
                            if (features_ != nullptr) features_->fill(current);
                            draws_[static_cast<std::size_t>(micro_step)].assign(current.begin(),
                                                                                current.end());
                        },
                    .passed =
                        [this](std::int64_t micro_step, const graph::LossTotals& totals) {
                            if (!std::isfinite(totals.sum)) note_suspects(micro_step);
                        },
                    .update = [this, &report](const graph::LossTotals& local) { update(local, report); }});

    report.epoch = epoch();
    report.step = ++state_.step;
    const auto updates = static_cast<double>(training_->updates());
    report.loss /= updates;
    report.gradient_norm /= updates;
    report.samples = batches_.global_batch();
    report.io_wait = feeder_->wait_seconds() - waited_before;
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    loss_since_evaluation_ += report.loss;
    ++steps_since_evaluation_;
    setup_.observer.on_step(report);
}

// One optimizer update. Losses and gradients are sums over pixels; only here, with the sum of weights of all
// ranks and micro-steps at hand, they become means: N ranks with batch B do what one rank with batch N * B
// does.
void Trainer::update(const graph::LossTotals& local, StepReport& report) {
    std::array<double, 3> global{local.sum, local.normaliser, setup_.stop_requested() ? 1.0 : 0.0};
    communicator_.sum(global);
    const auto [loss_sum, normaliser, stop_votes] = global;
    if (!std::isfinite(loss_sum)) diverged("loss");
    const std::int64_t number = state_.step * training_->updates() + updates_in_step_;
    const optim::UpdateReport update = optimizer_.update(store_.trainable_values(), store_.gradient_values(),
                                                         normaliser, report.rate, number);
    if (!update.finite) diverged("gradient");
    training_->parameters_changed();
    stop_agreed_ = stop_votes > 0;
    updates_in_step_ = (updates_in_step_ + 1) % training_->updates();
    report.loss += normaliser > 0 ? loss_sum / normaliser : 0;
    report.gradient_norm += update.gradient_norm;
}

void Trainer::evaluate() {
    // The moving average of the weights, if there is one, is what is scored and saved.
    const Evaluation evaluation = [&] {
        const optim::AveragedWeights averaged(optimizer_, store_.trainable_values());
        return evaluator_->run();
    }();
    EvaluationReport report;
    report.step = state_.step;
    report.epoch = (state_.step - 1) / steps_per_epoch_ + 1;
    report.training_loss = steps_since_evaluation_ > 0
                               ? loss_since_evaluation_ / static_cast<double>(steps_since_evaluation_)
                               : 0;
    report.loss = evaluation.loss;
    report.scores = report::score(evaluation.confusion);
    report.confusion = evaluation.confusion;
    report.seconds = evaluation.seconds;
    report.predictions = evaluation.predictions;
    const double score = report.scores.by_name(config_.eval.best);
    report.best = score > state_.best_score;
    if (report.best) {
        state_.best_score = score;
        state_.best_step = state_.step;
    }
    optim::observe(state_.plateau, config_.optim, score, report.loss);
    loss_since_evaluation_ = 0;
    steps_since_evaluation_ = 0;
    setup_.observer.on_evaluation(report);
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

void Trainer::note_suspects(std::int64_t micro_step) {
    for (const data::SampleDraw& sample : draws_[static_cast<std::size_t>(micro_step)]) {
        if (!suspects_.empty()) suspects_ += ", ";
        suspects_ += setup_.training.describe(sample.tile);
    }
}

void Trainer::diverged(const char* what) {
    std::string tiles;
    const std::vector<std::string> suspects = communicator_.all_gather(suspects_);
    for (std::size_t rank = 0; rank < suspects.size(); ++rank) {
        if (!suspects[rank].empty()) tiles += fmt::format(" Tiles of rank {}: {}.", rank, suspects[rank]);
    }
    throw Error(
        ExitCode::diverged, 520, fmt::format("the {} is not finite at step {}.{}", what, state_.step, tiles),
        "Lower optim.lr, lengthen optim.warmup_steps, set optim.clip_norm, or look at those tiles; the last "
        "checkpoint is intact.");
}

}  // namespace terrane::train
