#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "predict/scene_source.hpp"

namespace terrane::predict {

/// One modality under one window.
struct InputTile {
    std::span<std::byte> values;       ///< [window / scale, window / scale, bands], as stored
    std::span<std::uint8_t> validity;  ///< [window / scale, window / scale]
    std::int64_t valid_pixels = 0;
};

/// One window on its way to the network.
struct InputWindow {
    std::int64_t row = 0;  ///< index in the WindowGrid
    std::int64_t column = 0;
    std::vector<InputTile> modalities;  ///< in the order of the source
    std::span<std::uint8_t> validity;   ///< [window, window]: whether any modality has a value
};

/// Windows that the network computes at once, with the memory they need; made once and filled again and
/// again.
class WindowBatch {
  public:
    WindowBatch(const std::vector<SourceModality>& modalities, std::int64_t window, std::int64_t capacity);

    std::int64_t capacity() const { return static_cast<std::int64_t>(windows_.size()); }
    std::span<InputWindow> all() { return windows_; }
    /// The windows that are filled.
    std::span<const InputWindow> windows() const { return {windows_.data(), filled_}; }
    InputWindow& next() { return windows_[filled_]; }
    void keep_next() { ++filled_; }
    bool full() const { return filled_ == windows_.size(); }
    bool empty() const { return filled_ == 0; }
    void clear() { filled_ = 0; }

    static std::size_t bytes(const std::vector<SourceModality>& modalities, std::int64_t window,
                             std::int64_t capacity);

  private:
    std::vector<std::byte> memory_;
    std::vector<InputWindow> windows_;
    std::size_t filled_ = 0;
};

/// Says which class every pixel of a window belongs to.
class WindowClassifier {
  public:
    virtual ~WindowClassifier() = default;

    virtual std::int64_t window() const = 0;  ///< edge in reference pixels
    virtual std::int64_t classes() const = 0;
    virtual std::int64_t batch() const = 0;  ///< most windows at once
    /// Probabilities [batch, window, window, classes], valid until the next call; those of windows that are
    /// not filled mean nothing. A window's probabilities depend on that window only.
    virtual std::span<const float> classify(const WindowBatch& batch) = 0;
};

}  // namespace terrane::predict
