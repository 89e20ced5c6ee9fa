#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "train/checkpoint_folder.hpp"

namespace terrane::train {

/// What became of a checkpoint.
struct SaveResult {
    std::int64_t step = 0;
    double held = 0;     ///< seconds that training stood still for it (the trainer's to set)
    double seconds = 0;   ///< from the start of the writing to its end
    std::string failure;  ///< empty: the checkpoint is whole, linked and on the disk
};

/// Writes checkpoints in a thread of its own while training goes on. Used by one rank only.
class CheckpointWriter {
  public:
    /// `folder` must outlive it. `keep`: checkpoint.keep; older ones are removed after a success, never
    /// before.
    CheckpointWriter(CheckpointFolder& folder, std::int64_t keep);
    /// Lets what is being written become whole.
    ~CheckpointWriter();
    CheckpointWriter(const CheckpointWriter&) = delete;
    CheckpointWriter& operator=(const CheckpointWriter&) = delete;

    /// One checkpoint to be written.
    struct Job {
        std::int64_t step = 0;
        bool best = false;                                        ///< `best` is to point to it, too
        std::function<void(const std::filesystem::path&)> write;  ///< its files; called in the thread
    };
    /// Begins a checkpoint. Nothing may be under way.
    void start(Job job);
    /// Begins the last one anew: after a failure, with new files.
    void start_again();

    bool is_busy() const;
    /// The outcome of what was started last, once, as soon as it is known; does not wait.
    std::optional<SaveResult> result();
    /// The same, but waits for it; nothing if there is none that result() has not handed out.
    std::optional<SaveResult> wait();

  private:
    void work();
    SaveResult save();

    CheckpointFolder& folder_;
    std::int64_t keep_;
    Job job_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool requested_ = false;  ///< started and not finished
    bool quit_ = false;
    std::optional<SaveResult> result_;
    std::thread thread_;
};

}  // namespace terrane::train
