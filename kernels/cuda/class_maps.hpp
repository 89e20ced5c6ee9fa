#pragma once

#include <limits>

#include "cuda/plans.hpp"
#include "cuda/resized_axis.hpp"
#include "cuda/sums.hpp"
#include "formulas/class_loss.hpp"

/// Logits read at the labels' resolution, and how a gradient there becomes one
/// of the logits.
namespace terrane::cuda {

/// A thread keeps the logits of a pixel in its own memory.
inline constexpr std::int64_t most_classes = 256;

/// Where the logits of a label pixel are interpolated from.
struct PixelTaps {
    formulas::Tap<float, int> row, column;
    std::int64_t at00, at01, at10, at11;  ///< first elements of the four source pixels
};

/// What the bytes of a map mean: classes, or distances, of which 0 does not
/// count.
enum class MapKind { labels, distances };

/// Whether logits [n, rows, columns, classes] at a resolution of height x width
/// have kernels.
inline bool has_class_kernels(const Shape& logits, std::int64_t height, std::int64_t width) {
    return logits.channels() <= most_classes && ResizedAxis::fits(logits.height(), height) &&
           ResizedAxis::fits(logits.width(), width) && logits.batch() * height * width < (INT64_C(1) << 31);
}
/// Of losses over class maps: the second input are the labels.
inline bool has_class_kernels(const device::PlanRequest& request) {
    const std::vector<TensorSpec>& inputs = request.descriptor.inputs;
    return has_class_kernels(inputs[0].shape, inputs[1].shape[1], inputs[1].shape[2]);
}

template <typename T>
struct ClassMaps {
    const T* logits = nullptr;
    const std::uint8_t* labels = nullptr;
    std::int64_t batch, classes;
    ResizedAxis rows, columns;  ///< from logits to labels
    Divisor height, width;      ///< of the labels
    MapKind kind;

    ClassMaps(const Shape& logits_shape, std::int64_t label_height, std::int64_t label_width,
              ops::Corners corners, MapKind map_kind = MapKind::labels)
        : batch(logits_shape.batch()),
          classes(logits_shape.channels()),
          rows(logits_shape.height(), label_height, corners),
          columns(logits_shape.width(), label_width, corners),
          height(label_height),
          width(label_width),
          kind(map_kind) {}

    TERRANE_HOST_DEVICE std::int64_t pixels() const { return batch * rows.out * columns.out; }
    TERRANE_HOST_DEVICE std::int64_t label(std::int64_t place) const { return labels[place]; }
    TERRANE_HOST_DEVICE bool is_valid(std::int64_t place) const {
        if (kind == MapKind::distances) return labels[place] > 0;
        return formulas::is_valid_label(labels[place], classes);
    }

    /// Those of a label pixel of sample n.
    TERRANE_HOST_DEVICE PixelTaps taps(int n, const formulas::Tap<float, int>& row,
                                       const formulas::Tap<float, int>& column) const {
        PixelTaps taps{row, column, 0, 0, 0, 0};
        const auto upper = static_cast<std::int64_t>(n * rows.in + row.index0) * columns.in;
        const auto lower = static_cast<std::int64_t>(n * rows.in + row.index1) * columns.in;
        taps.at00 = (upper + column.index0) * classes;
        taps.at01 = (upper + column.index1) * classes;
        taps.at10 = (lower + column.index0) * classes;
        taps.at11 = (lower + column.index1) * classes;
        return taps;
    }
    TERRANE_HOST_DEVICE PixelTaps taps(std::int64_t place) const {
        const int pixel = static_cast<int>(place), line = pixel / width, n = line / height;
        return taps(n, rows.tap(line - n * height), columns.tap(pixel - line * width));
    }
    TERRANE_HOST_DEVICE float logit(const PixelTaps& taps, std::int64_t c) const {
        return formulas::bilinear(taps.row, taps.column, static_cast<float>(logits[taps.at00 + c]),
                                  static_cast<float>(logits[taps.at01 + c]),
                                  static_cast<float>(logits[taps.at10 + c]),
                                  static_cast<float>(logits[taps.at11 + c]));
    }
    TERRANE_HOST_DEVICE void read(std::int64_t place, float* values) const {
        const PixelTaps own = taps(place);
        values[0] = logit(own, 0);  // there is at least one class
        for (std::int64_t c = 1; c < classes; ++c) values[c] = logit(own, c);
    }
};

/// Classes that a thread keeps in registers.
inline constexpr int class_chunk = 8;

/// The logits of a label pixel with at most class_chunk classes. Classes that
/// do not exist have probability 0, so that loops over them have fixed ends.
template <typename T>
TERRANE_HOST_DEVICE inline void read_few(const ClassMaps<T>& maps, const PixelTaps& taps,
                                         float (&logits)[class_chunk]) {
    TERRANE_UNROLL
    for (int c = 0; c < class_chunk; ++c) {
        logits[c] = c < maps.classes ? maps.logit(taps, c) : -std::numeric_limits<float>::infinity();
    }
}

/// What is found out once per label pixel: its softmax, and one number of the
/// loss's own.
struct PixelTerms {
    formulas::SoftmaxNormaliser<float> normaliser;
    float own = 0;
};

/// Loss: float prepare(const float* logits, const SoftmaxNormaliser<float>&,
/// label, place) const.
template <typename T, typename Loss>
struct PreparePixel {
    ClassMaps<T> maps;
    Loss loss;
    PixelTerms* terms;

    TERRANE_HOST_DEVICE void operator()(std::int64_t place) const {
        if (!maps.is_valid(place)) return;
        float logits[most_classes];
        maps.read(place, logits);
        PixelTerms found;
        found.normaliser = formulas::softmax_normaliser(logits, maps.classes);
        found.own = loss.prepare(logits, found.normaliser, maps.label(place), place);
        terms[place] = found;
    }
};

}  // namespace terrane::cuda
