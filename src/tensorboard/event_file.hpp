#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/file.hpp"

namespace terrane::tensorboard {

/// One number of a summary: what TensorBoard draws as a curve under its tag.
struct Scalar {
    std::string tag;  ///< "train/loss"; the part before the slash is the group
    double value = 0;
};

/// An event file of TensorBoard, events.out.tfevents.<seconds>.<host>.<process>: records of a length, its
/// checksum, a message, its checksum. Records are gathered and written whole, at flush(), every few seconds
/// and when much has come together, so that a killed run leaves a readable file. A run that goes on makes a
/// new file in the same folder.
class EventFile {
  public:
    /// Creates the folder where it is missing and a new file in it. Throws Error E0901.
    explicit EventFile(const std::filesystem::path& folder);
    /// Writes what was gathered; failure is not reported: call flush() before.
    ~EventFile();
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;

    const std::filesystem::path& path() const { return path_; }

    /// The functions below throw Error E0901 (74) when the file can't be written.

    /// What earlier files of the folder hold of `step` and later steps is void: the run goes on from before
    /// it.
    void restart(std::int64_t step);
    /// The scalars of one step.
    void scalars(std::int64_t step, std::span<const Scalar> scalars);
    /// A picture: the content of a PNG file of `width` x `height` pixels.
    void image(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
               std::int64_t channels, std::span<const std::byte> png);
    void flush();

  private:
    using Clock = std::chrono::steady_clock;

    void append(const std::string& message);
    void flush_when_due();

    std::filesystem::path path_;
    std::optional<CheckedFile> file_;
    std::string gathered_;
    Clock::time_point flushed_ = Clock::now();
};

}  // namespace terrane::tensorboard
