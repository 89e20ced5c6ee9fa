#include "train/checkpoint_writer.hpp"

#include <chrono>
#include <exception>
#include <utility>

#include "base/error.hpp"
#include "base/fault.hpp"

namespace terrane::train {

CheckpointWriter::CheckpointWriter(CheckpointFolder& folder, std::int64_t keep)
    : folder_(folder), keep_(keep), thread_([this] { work(); }) {}

CheckpointWriter::~CheckpointWriter() {
    {
        const std::lock_guard lock(mutex_);
        quit_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

void CheckpointWriter::start(Job job) {
    {
        const std::lock_guard lock(mutex_);
        TERRANE_ASSERT(!requested_, "a checkpoint is being written already");
        job_ = std::move(job);
        result_.reset();
        requested_ = true;
    }
    changed_.notify_all();
}

void CheckpointWriter::start_again() {
    Job job;
    {
        const std::lock_guard lock(mutex_);
        job = job_;
    }
    start(std::move(job));
}

bool CheckpointWriter::is_busy() const {
    const std::lock_guard lock(mutex_);
    return requested_;
}

std::optional<SaveResult> CheckpointWriter::result() {
    const std::lock_guard lock(mutex_);
    return std::exchange(result_, std::nullopt);
}

std::optional<SaveResult> CheckpointWriter::wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !requested_; });
    return std::exchange(result_, std::nullopt);
}

void CheckpointWriter::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return requested_ || quit_; });
        if (!requested_) return;  // what was requested before the end is still written
        lock.unlock();
        SaveResult result = save();
        lock.lock();
        result_ = std::move(result);
        requested_ = false;
        changed_.notify_all();
    }
}

SaveResult CheckpointWriter::save() {
    const auto begin = std::chrono::steady_clock::now();
    SaveResult result;
    result.step = job_.step;
    try {
        const fault::Saving saving;
        folder_.publish(job_.step, job_.write);
        folder_.link("last", job_.step);
        if (job_.best) folder_.link("best", job_.step);
        folder_.prune(keep_);
    } catch (const Error& error) {
        result.failure = error.message() + (error.fix().empty() ? "" : " " + error.fix());
    } catch (const std::exception& error) {
        result.failure = fmt::format("{}.", error.what());
    }
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

}  // namespace terrane::train
