#pragma once

#include <cstdint>
#include <vector>

#include "config/training.hpp"
#include "data/tile_source.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::data {

/// What is done to one modality of a sample.
struct ModalityDraw {
    bool present = true;
    float gain = 1, shift = 0, noise = 0;
    std::uint64_t noise_key = 0;
};

/// One sample of a batch: a tile and how it is cut and changed.
struct SampleDraw {
    std::int64_t tile = -1;  ///< -1: an empty place, filled with invalid pixels and ignored labels
    device::SampleTransform transform;
    std::vector<ModalityDraw> modalities;
};

/// The symmetries of the square.
inline constexpr std::int64_t square_symmetries = 8;
/// One of them applied to a whole tile of `edge` pixels and nothing else, 0 changing nothing: what an
/// Augmentation draws that neither rotates nor zooms nor cuts.
device::SampleTransform whole_tile(std::int64_t symmetry, std::int64_t edge);

/// Random changes of the training samples; a pure function of the seed and the sample's number.
///  - geometry: one of the eight symmetries of the square (augment.flips), a rotation uniform in +-
///    augment.rotation degrees, a zoom uniform in augment.zoom (2: things twice as large), a crop of
///    augment.crop pixels from anywhere. Without rotation and zoom the crop starts at a multiple of every
///    modality's scale, so that pixels are copied, never interpolated; otherwise the window is placed so that
///    it stays within the tile where it fits.
///  - radiometry, per modality of augment.photometric: gain uniform in 1 +- contrast, shift uniform in
///    +- brightness, Gaussian noise.
///  - presence: each modality is withheld with probability model.modality_dropout; if all would be, one drawn
///    uniformly stays.
class Augmentation {
  public:
    /// Throws Error E0513 (78) for a crop that does not fit the tiles or a photometric modality that is
    /// unknown.
    Augmentation(const config::Augment& settings, double modality_dropout, const TileLayout& layout,
                 std::uint64_t seed);

    /// Edge of the crop in reference pixels.
    std::int64_t crop() const { return crop_; }
    /// Fills everything but the tile.
    void draw(std::int64_t sample, SampleDraw& result) const;

  private:
    device::SampleTransform draw_transform(std::int64_t sample) const;

    config::Augment settings_;
    double modality_dropout_;
    std::uint64_t seed_;
    std::int64_t edge_;
    std::int64_t crop_;
    std::int64_t alignment_;
    std::vector<std::uint8_t> photometric_;  ///< per modality
};

}  // namespace terrane::data
