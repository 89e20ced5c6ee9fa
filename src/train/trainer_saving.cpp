#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/activity.hpp"
#include "base/log.hpp"
#include "nets/network.hpp"
#include "train/model_files.hpp"
#include "train/rank_agreement.hpp"
#include "train/trainer.hpp"

/// Trainer's checkpoints: written by rank 0, read by rank 0, the same on all ranks.
namespace terrane::train {

namespace fs = std::filesystem;

namespace {

ModelDescription description_of(const TrainingSetup& setup, std::int64_t crop) {
    config::Model model = nets::completed(setup.config.model);
    if (model.vit.image == 0) model.vit.image = crop;  // what a positional embedding was trained for
    return {model, setup.training.layout().modalities, setup.config.classes, crop};
}

// Steps until a checkpoint that failed is tried again: 1, 2, 4 ... this.
constexpr std::int64_t longest_retry = 64;

}  // namespace

// Rank 0 looks and decides; its answer holds for all.
fs::path Trainer::checkpoint_to_resume() {
    std::string found;
    const std::string& wish = config_.train.resume;
    if (communicator_.rank() == 0 && wish != "never") {
        if (wish == "auto") {
            const std::optional<std::int64_t> step = checkpoints_.newest_good();
            if (step) found = checkpoints_.path_of(*step).string();
        } else {
            verify_checkpoint(wish);
            found = wish;
        }
    }
    communicator_.broadcast(found, 0);
    return found;
}

std::optional<RunState> Trainer::state_to_resume() {
    if (resume_from_.empty()) return std::nullopt;
    std::string stored;
    if (communicator_.rank() == 0) stored = to_json(load_run_state(resume_from_ / state_file));
    communicator_.broadcast(stored, 0);
    return run_state_from_json(stored, (resume_from_ / state_file).string());
}

void Trainer::resume(const fs::path& checkpoint) {
    require_same_experiment(*resumed_, state_, checkpoint);
    if (communicator_.rank() == 0) {
        load_model(checkpoint / model_file, store_, setup_.backend);
        load_moments(checkpoint / moments_file, store_, optimizer_, setup_.backend);
    }
    state_ = *resumed_;
    broadcast_model(store_, setup_.backend, communicator_);
    broadcast_moments(optimizer_, setup_.backend, communicator_);
    optimizer_.exchange_average(store_.trainable_values());  // the model's file holds the average
    loss_scale_ = state_.loss_scale;
    std::error_code elsewhere;
    const bool own = fs::equivalent(checkpoint.parent_path(), checkpoints_.path(), elsewhere);
    saved_step_ = own ? state_.step : -1;
    resumed_from_ = checkpoint.string();
}

void Trainer::start_saving() {
    std::array<double, 1> seconds{};
    if (communicator_.rank() == 0) {
        room_ = checkpoints_.prepare(snapshot_->bytes());
        writer_ = std::make_unique<CheckpointWriter>(checkpoints_, config_.checkpoint.keep);
        seconds[0] = room_.seconds;
    }
    communicator_.max(seconds);
    save_seconds_ = seconds[0];
}

// Training waits for the copy only, and for an earlier checkpoint that is still being written.
void Trainer::save() {
    activity::set_work("saving");
    const auto begin = std::chrono::steady_clock::now();
    require_equal_replicas(store_, setup_.backend, communicator_);
    saved_step_ = state_.step;
    if (communicator_.rank() == 0) {
        if (const auto earlier = writer_->wait()) take_note(*earlier);
        retry_at_ = -1;
        state_.loss_scale = loss_scale_;
        snapshot_->take(state_);
        writer_->start({state_.step, state_.best_step == state_.step || evaluator_ == nullptr,
                        [this](const fs::path& folder) {
                            snapshot_->write(folder, description_of(setup_, augmentation_.crop()));
                        }});
    }
    setup_.observer.on_checkpoint(state_.step);
    held_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Training goes on whatever the disk does: the next attempt may succeed, and stopping now would lose the
// steps since the last checkpoint.
void Trainer::take_note(SaveResult result) {
    result.held = std::exchange(held_seconds_, 0.0);  // a second attempt holds nobody up
    setup_.observer.on_saved(result);
    if (result.failure.empty()) {
        save_seconds_ = result.seconds;
        retry_at_ = -1;
        retry_after_ = 1;
        return;
    }
    retry_at_ = state_.step + retry_after_;
    retry_after_ = std::min(2 * retry_after_, longest_retry);
}

void Trainer::look_after_saving() {
    if (communicator_.rank() != 0) return;
    if (const auto result = writer_->result()) take_note(*result);
    if (retry_at_ < 0 || state_.step < retry_at_) return;
    retry_at_ = -1;
    writer_->start_again();
}

// The last checkpoint: now everybody waits, and a failure is an error.
void Trainer::finish_saving() {
    if (saved_step_ != state_.step) save();
    std::string verdict;
    if (communicator_.rank() == 0) {
        auto result = writer_->wait();
        if (result) take_note(*result);
        if (retry_at_ >= 0) {
            writer_->start_again();
            result = writer_->wait();
            take_note(*result);
            verdict = result->failure;
            if (!verdict.empty())
                verdict = fmt::format("the checkpoint of step {} was not saved: {}", result->step, verdict);
        }
    }
    communicator_.broadcast(verdict, 0);
    if (verdict.empty()) return;
    throw Error(ExitCode::io_error, 612, verdict + " Earlier checkpoints are intact.",
                "Free some space and run the same command again: it continues from the last checkpoint.");
}

}  // namespace terrane::train
