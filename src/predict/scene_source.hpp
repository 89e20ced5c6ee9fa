#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "predict/window_grid.hpp"
#include "tensor/dtype.hpp"

namespace terrane::predict {

/// A modality as a scene offers it.
struct SourceModality {
    std::string name;
    DType dtype = DType::u8;
    std::int64_t bands = 1;
    std::int64_t scale = 1;  ///< reference pixels per pixel

    /// Bytes of one of its pixels with the validity.
    std::size_t pixel_bytes() const { return static_cast<std::size_t>(bands) * size_of(dtype) + 1; }
};

/// The aligned rasters of one scene, read piece by piece. Serves one thread.
class SceneSource {
  public:
    virtual ~SceneSource() = default;

    virtual std::int64_t height() const = 0;  ///< in reference pixels
    virtual std::int64_t width() const = 0;
    virtual const std::vector<SourceModality>& modalities() const = 0;

    /// Reads a modality under a rectangle of reference pixels, multiples of its scale. `values`: [rows /
    /// scale, columns / scale, bands] of its dtype; `validity`: [rows / scale, columns / scale], 0 or 1. The
    /// rectangle may reach outside the scene: those pixels are invalid. A pixel's value depends on its place
    /// only.
    virtual void read(std::size_t modality, Range rows, Range columns, std::span<std::byte> values,
                      std::span<std::uint8_t> validity) = 0;
};

}  // namespace terrane::predict
