#pragma once

#include <cstdint>
#include <vector>

namespace terrane::predict {

/// How the predictions of overlapping windows are weighted before they are added up.
enum class Blend {
    hann,  ///< sin^2(pi (i + 1/2) / n): a window's centre, where the network sees all around, counts most
    mean,  ///< all alike
};

/// A half-open range of pixels or of windows.
struct Range {
    std::int64_t begin = 0;
    std::int64_t end = 0;

    std::int64_t size() const { return end - begin; }
    bool empty() const { return end <= begin; }
    bool operator==(const Range&) const = default;
};

/// What a scene is cut into along one axis.
struct AxisLayout {
    std::int64_t length = 0;  ///< pixels of the scene
    std::int64_t window = 0;  ///< pixels of a window, a multiple of `step`
    std::int64_t stride = 0;  ///< distance of neighbouring windows, a multiple of `step`, at most `window`
    std::int64_t step = 1;    ///< window origins are multiples of this: the pixels of coarser modalities
    Blend blend = Blend::hann;
};

/// The windows along one axis of a scene. They start at 0, stride, 2 stride ...; the last one is moved back
/// so that it ends at the scene's edge, or less than a step beyond it. A scene shorter than a window gets one
/// window that reaches past its end.
class WindowAxis {
  public:
    /// Throws InternalError for a layout that breaks the rules of AxisLayout.
    explicit WindowAxis(const AxisLayout& layout);

    const AxisLayout& layout() const { return layout_; }
    std::int64_t count() const { return count_; }
    std::int64_t origin(std::int64_t index) const;
    /// The pixels of a window; they may reach past the scene's end, never before its start.
    Range pixels(std::int64_t index) const;
    /// The windows that touch at least one of these pixels of the scene.
    Range windows_of(Range pixels) const;

    /// The share of window `index` in each of its pixels, one per pixel of the window: over all windows of a
    /// pixel the shares sum to 1, so that blended values need no division. 0 beyond the scene's end.
    std::vector<float> shares(std::int64_t index) const;

  private:
    double weight(std::int64_t position) const;

    AxisLayout layout_;
    std::int64_t last_origin_ = 0;
    std::int64_t count_ = 0;
};

/// The windows of a scene. Their order, which fixes in which order contributions are added up, is row by row.
struct WindowGrid {
    WindowAxis rows;
    WindowAxis columns;

    std::int64_t count() const { return rows.count() * columns.count(); }
};

/// The stride for a window and the fraction it shares with its neighbour, as a multiple of `step`: at least
/// one step, at most the window.
std::int64_t stride_for_overlap(std::int64_t window, double overlap, std::int64_t step);

}  // namespace terrane::predict
