#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "device/buffer.hpp"
#include "device/sample_kernels.hpp"
#include "tensor/tensor_view.hpp"

namespace terrane::data {

/// One modality of a stored tile: [edge / scale, edge / scale, bands] of `dtype`.
struct ModalityLayout {
    std::string name;
    DType dtype = DType::f32;
    std::int64_t bands = 1;
    std::int64_t scale = 1;  ///< reference pixels per pixel
    std::vector<device::BandNormalisation> normalisation;
};

/// What all tiles of a store have in common.
struct TileLayout {
    std::int64_t edge = 0;  ///< of a tile, in reference pixels
    std::int64_t classes = 0;
    std::vector<ModalityLayout> modalities;
    std::vector<std::string> maps{};  ///< of weak supervision, see config/weak_maps.hpp: those that are read
    bool scored_by_window = false;    ///< tiles of val and test overlap, and a pixel counts in each of them

    /// Least common multiple of the scales: crops begin and end at its multiples, so that every modality is
    /// cut between its pixels.
    std::int64_t alignment() const;
};

/// Host memory for one stored tile, allocated once and read into again and again.
class TileMemory {
  public:
    explicit TileMemory(const TileLayout& layout);

    struct Modality {
        TensorView values;    ///< [h, w, bands], stored type
        TensorView validity;  ///< u8 [h, w], 0 = invalid
        float base = 0;       ///< see device::ModalitySample::base
        bool present = true;  ///< false: the tile has no valid pixel of this modality
    };
    std::vector<Modality> modalities;
    TensorView labels;             ///< u8 [edge, edge], class indices, 255 = ignored
    std::vector<TensorView> maps;  ///< per map of the layout u8 [edge, edge]

    std::size_t bytes() const { return memory_.bytes(); }

  private:
    device::Buffer memory_;
};

/// The tiles of one split, numbered from 0 in an order that every rank agrees on.
class TileSource {
  public:
    virtual ~TileSource() = default;

    virtual const TileLayout& layout() const = 0;
    virtual std::int64_t size() const = 0;
    /// Pixels of each class in a tile: of the labels, or of the map that is learned from in their place.
    virtual std::span<const std::int64_t> class_pixels(std::int64_t tile) const = 0;
    /// Changes whenever the stored tiles do: a hash of the manifest.
    virtual std::string identity() const = 0;
    /// For messages: scene, place in it, file.
    virtual std::string describe(std::int64_t tile) const = 0;
    /// Reads and verifies a tile; may be called from any one thread at a time. Allocates nothing after the
    /// first calls. Throws Error naming the file.
    virtual void read(std::int64_t tile, TileMemory& destination) = 0;
};

/// Labelled pixels of each class over all tiles of a source.
std::vector<std::int64_t> total_class_pixels(const TileSource& source);

}  // namespace terrane::data
