#include "data/augmentation.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/philox.hpp"

namespace terrane::data {

namespace {

struct Matrix {
    double xx = 1, xy = 0, yx = 0, yy = 1;
};

Matrix product(const Matrix& a, const Matrix& b) {
    return {a.xx * b.xx + a.xy * b.yx, a.xx * b.xy + a.xy * b.yy, a.yx * b.xx + a.yy * b.yx,
            a.yx * b.xy + a.yy * b.yy};
}

// The eight symmetries of the square: four quarter turns, each also mirrored.
Matrix symmetry(std::uint32_t number) {
    constexpr Matrix turns[4] = {{1, 0, 0, 1}, {0, -1, 1, 0}, {-1, 0, 0, -1}, {0, 1, -1, 0}};
    const Matrix mirror = number >= 4 ? Matrix{-1, 0, 0, 1} : Matrix{};
    return product(turns[number % 4], mirror);
}

// The transform that turns by a matrix and whose window of `crop` pixels has its centre here.
device::SampleTransform placed(const Matrix& matrix, double centre_x, double centre_y, double crop) {
    const double middle = crop / 2;
    return {matrix.xx, matrix.xy, centre_x - matrix.xx * middle - matrix.xy * middle,
            matrix.yx, matrix.yy, centre_y - matrix.yx * middle - matrix.yy * middle};
}

}  // namespace

device::SampleTransform whole_tile(std::int64_t number, std::int64_t edge) {
    const auto length = static_cast<double>(edge);
    return placed(symmetry(static_cast<std::uint32_t>(number)), length / 2, length / 2, length);
}

Augmentation::Augmentation(const config::Augment& settings, double modality_dropout, const TileLayout& layout,
                           std::uint64_t seed)
    : settings_(settings),
      modality_dropout_(modality_dropout),
      seed_(seed),
      edge_(layout.edge),
      crop_(settings.crop > 0 ? settings.crop : layout.edge),
      alignment_(layout.alignment()) {
    if (crop_ > edge_ || crop_ % alignment_ != 0) {
        throw Error(
            ExitCode::config_invalid, 513,
            fmt::format("augment.crop {} does not fit tiles of {} pixels whose coarsest modalities need "
                        "multiples of {}.",
                        crop_, edge_, alignment_),
            fmt::format("Choose a multiple of {} up to {}.", alignment_, edge_ / alignment_ * alignment_));
    }
    for (const std::string& name : settings.photometric) {
        const auto is_named = [&](const ModalityLayout& modality) { return modality.name == name; };
        if (std::none_of(layout.modalities.begin(), layout.modalities.end(), is_named)) {
            throw Error(
                ExitCode::config_invalid, 513,
                fmt::format("augment.photometric names \"{}\", which is no modality of the tiles.", name));
        }
    }
    for (const ModalityLayout& modality : layout.modalities) {
        const auto& names = settings.photometric;
        photometric_.push_back(names.empty() ||
                               std::find(names.begin(), names.end(), modality.name) != names.end());
    }
}

device::SampleTransform Augmentation::draw_transform(std::int64_t sample) const {
    PhiloxStream random(seed_ ^ stream_of("augment.geometry"), static_cast<std::uint64_t>(sample));
    const auto edge = static_cast<double>(edge_);
    const auto crop = static_cast<double>(crop_);
    Matrix matrix = settings_.flips ? symmetry(random.below(8)) : Matrix{};

    // Centre of the window in the tile.
    double centre_x = 0;
    double centre_y = 0;
    const bool turned = settings_.rotation > 0;
    const bool zoomed = settings_.zoom[0] != 1 || settings_.zoom[1] != 1;
    if (!turned && !zoomed) {
        const auto places = static_cast<std::uint32_t>((edge_ - crop_) / alignment_ + 1);
        centre_x =
            static_cast<double>(random.below(places) * static_cast<std::uint64_t>(alignment_)) + crop / 2;
        centre_y =
            static_cast<double>(random.below(places) * static_cast<std::uint64_t>(alignment_)) + crop / 2;
    } else {
        const double angle = random.uniform(-settings_.rotation, settings_.rotation) * std::numbers::pi / 180;
        const double zoom = random.uniform(settings_.zoom[0], settings_.zoom[1]);
        const Matrix turn{std::cos(angle) / zoom, -std::sin(angle) / zoom, std::sin(angle) / zoom,
                          std::cos(angle) / zoom};
        matrix = product(turn, matrix);
        const double half_extent = crop / 2 * (std::abs(matrix.xx) + std::abs(matrix.xy));
        const double slack = std::max(0.0, edge / 2 - half_extent);
        centre_x = edge / 2 + random.uniform(-slack, slack);
        centre_y = edge / 2 + random.uniform(-slack, slack);
    }
    return placed(matrix, centre_x, centre_y, crop);
}

void Augmentation::draw(std::int64_t sample, SampleDraw& result) const {
    result.transform = draw_transform(sample);
    result.modalities.resize(photometric_.size());

    PhiloxStream random(seed_ ^ stream_of("augment.radiometry"), static_cast<std::uint64_t>(sample));
    for (std::size_t m = 0; m < photometric_.size(); ++m) {
        ModalityDraw& modality = result.modalities[m];
        // Always the same number of draws, so that one option does not change what another one draws.
        const double gain = 1 + random.uniform(-settings_.contrast, settings_.contrast);
        const double shift = random.uniform(-settings_.brightness, settings_.brightness);
        const std::uint64_t high = random.word();
        const std::uint64_t key = high << 32 | random.word();
        modality = {};
        if (photometric_[m] == 0) continue;
        modality.gain = static_cast<float>(gain);
        modality.shift = static_cast<float>(shift);
        modality.noise = static_cast<float>(settings_.noise);
        modality.noise_key = key;
    }

    if (modality_dropout_ <= 0) return;
    PhiloxStream presence(seed_ ^ stream_of("augment.presence"), static_cast<std::uint64_t>(sample));
    bool any = false;
    for (ModalityDraw& modality : result.modalities) {
        modality.present = presence.uniform() >= modality_dropout_;
        any = any || modality.present;
    }
    const std::uint32_t survivor = presence.below(static_cast<std::uint32_t>(result.modalities.size()));
    if (!any) result.modalities[survivor].present = true;
}

}  // namespace terrane::data
