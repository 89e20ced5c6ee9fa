// Cutting, turning and normalising samples against simple loops and known geometry.
#include <array>
#include <cmath>
#include <limits>

#include "kernels/candidate.hpp"
#include "kernels/case_data.hpp"
#include "kernels/guarded_buffer.hpp"
#include "ops/common.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;
using device::BandNormalisation;
using device::SampleTransform;

namespace {

/// A tile with its mask, and what to do with it.
struct Sample {
    std::int64_t size = 6, bands = 1, crop = 6, scale = 1;  ///< tile and crop in pixels of the modality
    DType stored = DType::f32, output = DType::f32;
    std::vector<double> tile = {};
    std::vector<double> validity = {};  ///< empty: all valid
    std::vector<BandNormalisation> normalisation = {};
    float base = 0, gain = 1, shift = 0, noise = 0;
    std::uint64_t noise_key = 0;
};

std::vector<double> assembled(const Sample& sample, const SampleTransform& transform) {
    const auto backend = make_candidate();
    std::vector<double> validity = sample.validity;
    if (validity.empty()) validity.assign(static_cast<std::size_t>(sample.size * sample.size), 1.0);
    std::vector<BandNormalisation> normalisation = sample.normalisation;
    normalisation.resize(static_cast<std::size_t>(sample.bands));
    std::vector<std::byte> tile = encode(sample.tile, sample.stored), mask = encode(validity, DType::u8);
    const Shape out{sample.crop, sample.crop, sample.bands};
    const GuardedBuffer output(*backend, TensorSpec{sample.output, out}.bytes());
    backend->sample_kernels().assemble(
        {.tile = {tile.data(), {sample.stored, {sample.size, sample.size, sample.bands}}},
         .validity = {mask.data(), {DType::u8, {sample.size, sample.size}}},
         .scale = sample.scale,
         .bands = normalisation,
         .base = sample.base,
         .gain = sample.gain,
         .shift = sample.shift,
         .noise = sample.noise,
         .noise_key = sample.noise_key,
         .output = {output.data(), {sample.output, out}}},
        transform);
    backend->synchronise();
    CHECK(output.canaries_intact());
    return decode(output.read(), sample.output);
}

std::vector<double> assembled_labels(const std::vector<double>& labels, std::int64_t size, std::int64_t crop,
                                     const SampleTransform& transform) {
    const auto backend = make_candidate();
    std::vector<std::byte> tile = encode(labels, DType::u8);
    const GuardedBuffer output(*backend, static_cast<std::size_t>(crop * crop));
    backend->sample_kernels().assemble_labels({tile.data(), {DType::u8, {size, size}}}, transform,
                                              {output.data(), {DType::u8, {crop, crop}}});
    backend->synchronise();
    CHECK(output.canaries_intact());
    return decode(output.read(), DType::u8);
}

std::vector<double> counted(std::int64_t count) {
    std::vector<double> numbers(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i);
    return numbers;
}

/// One of the eight symmetries of a square of side `size`: perhaps exchange x and y, then perhaps flip each.
struct Symmetry {
    bool exchange, flip_x, flip_y;

    SampleTransform transform(double size) const {
        const double x_sign = flip_x ? -1 : 1, y_sign = flip_y ? -1 : 1;
        const double x0 = flip_x ? size : 0, y0 = flip_y ? size : 0;
        return exchange ? SampleTransform{0, x_sign, x0, y_sign, 0, y0}
                        : SampleTransform{x_sign, 0, x0, 0, y_sign, y0};
    }
    /// The index of the source pixel of output pixel (x, y).
    std::int64_t source(std::int64_t x, std::int64_t y, std::int64_t size) const {
        std::int64_t column = exchange ? y : x, row = exchange ? x : y;
        if (flip_x) column = size - 1 - column;
        if (flip_y) row = size - 1 - row;
        return row * size + column;
    }
};

std::vector<Symmetry> symmetries() {
    std::vector<Symmetry> all;
    for (int i = 0; i < 8; ++i) all.push_back({(i & 1) != 0, (i & 2) != 0, (i & 4) != 0});
    return all;
}

SampleTransform rotation(double degrees, double zoom, double centre_in, double centre_out) {
    const double angle = degrees * 3.14159265358979323846 / 180;
    const double c = std::cos(angle) / zoom, s = std::sin(angle) / zoom;
    return {c, -s, centre_in - c * centre_out + s * centre_out,
            s, c,  centre_in - s * centre_out - c * centre_out};
}

}  // namespace

TEST_CASE("all eight symmetries of the square move pixels without changing them", "[sample]") {
    const Sample sample{.size = 5, .bands = 3, .crop = 5, .tile = counted(75)};
    for (const Symmetry& symmetry : symmetries()) {
        const auto result = assembled(sample, symmetry.transform(5));
        const auto turned_labels = assembled_labels(counted(25), 5, 5, symmetry.transform(5));
        for (std::int64_t i = 0; i < 25; ++i) {
            const std::int64_t source = symmetry.source(i % 5, i / 5, 5);
            CHECK(turned_labels[static_cast<std::size_t>(i)] == static_cast<double>(source));
            for (std::int64_t band = 0; band < 3; ++band) {
                CHECK(result[static_cast<std::size_t>(i * 3 + band)] ==
                      static_cast<double>(source * 3 + band));
            }
        }
    }
}

TEST_CASE("quarter turns made with sines and cosines are exact too", "[sample]") {
    const Sample sample{.size = 8, .crop = 8, .tile = counted(64)};
    for (const double degrees : {90.0, 180.0, 270.0, 360.0}) {
        const auto result = assembled(sample, rotation(degrees, 1, 4, 4));
        for (const double value : result) CHECK(value == std::round(value));
        const auto again =
            assembled({.size = 8, .crop = 8, .tile = result}, rotation(360 - degrees, 1, 4, 4));
        CHECK(again == sample.tile);
    }
}

TEST_CASE("a crop is cut where the transform says, for every stored type", "[sample]") {
    for (const DType stored : {DType::u8, DType::i64, DType::f32, DType::f64}) {
        const Sample sample{.size = 6, .bands = 2, .crop = 3, .stored = stored, .tile = counted(72)};
        const auto result = assembled(sample, {.x0 = 2, .y0 = 1});
        for (std::int64_t y = 0; y < 3; ++y) {
            for (std::int64_t x = 0; x < 3; ++x) {
                for (std::int64_t band = 0; band < 2; ++band) {
                    const std::int64_t source = ((y + 1) * 6 + x + 2) * 2 + band;
                    CHECK(result[static_cast<std::size_t>((y * 3 + x) * 2 + band)] ==
                          static_cast<double>(source));
                }
            }
        }
    }
}

TEST_CASE("a plane stays the same plane under rotation and zoom", "[sample]") {
    // Bilinear interpolation reproduces 3 column + 5 row exactly, so each value tells its own position.
    Sample sample{.size = 40, .crop = 12, .tile = counted(1600)};
    for (std::int64_t i = 0; i < 1600; ++i) {
        sample.tile[static_cast<std::size_t>(i)] =
            3 * (static_cast<double>(i % 40) + 0.5) + 5 * (static_cast<double>(i / 40) + 0.5);
    }
    for (const double degrees : {0.0, 17.0, 133.0, 290.0}) {
        for (const double zoom : {0.6, 1.0, 1.9}) {
            const SampleTransform t = rotation(degrees, zoom, 20, 6);
            const auto result = assembled(sample, t);
            for (std::size_t i = 0; i < result.size(); ++i) {
                const double x = static_cast<double>(i % 12) + 0.5, y = static_cast<double>(i / 12) + 0.5;
                const double column = t.xx * x + t.xy * y + t.x0, row = t.yx * x + t.yy * y + t.y0;
                CHECK(result[i] == Approx(3 * column + 5 * row).margin(1e-3));
            }
        }
    }
}

TEST_CASE("a coarser modality is cut in its own pixels", "[sample]") {
    // One pixel is 4 reference pixels; the crop begins at reference column 8, row 4.
    const Sample sample{.size = 6, .crop = 3, .scale = 4, .tile = counted(36)};
    const auto result = assembled(sample, {.x0 = 8, .y0 = 4});
    CHECK(result == std::vector<double>{8, 9, 10, 14, 15, 16, 20, 21, 22});
}

TEST_CASE("what an invalid pixel holds never enters the result", "[sample]") {
    Sample sample{.size = 16, .bands = 2, .crop = 16, .tile = std::vector<double>(512, 7.0)};
    sample.validity.assign(256, 1.0);
    for (std::size_t i = 0; i < 256; i += 3) {
        sample.validity[i] = 0;
        sample.tile[2 * i] = i % 2 == 0 ? std::nan("") : std::numeric_limits<double>::infinity();
        sample.tile[2 * i + 1] = 1e30;
    }
    for (const SampleTransform& t : {SampleTransform{}, rotation(33, 1.3, 8, 8), rotation(90, 1, 8, 8)}) {
        const auto result = assembled(sample, t);
        std::size_t seven = 0;
        for (const double value : result) {
            CHECK((value == 0.0 || std::abs(value - 7) < 1e-5));
            seven += std::abs(value - 7) < 1e-5 ? 1 : 0;
        }
        CHECK(seven > result.size() / 2);
    }
    // Untouched, exactly the invalid pixels are 0.
    const auto untouched = assembled(sample, {});
    for (std::size_t i = 0; i < 256; ++i) CHECK(untouched[2 * i] == (sample.validity[i] == 0 ? 0.0 : 7.0));
}

TEST_CASE("between a valid and an invalid pixel the valid one counts alone", "[sample]") {
    // Half a pixel to the right: every value is the mean of two neighbours, were all valid.
    Sample sample{.size = 3, .crop = 3, .tile = {1, 2, 4, 1, 2, 4, 1, 2, 4}};
    CHECK(assembled(sample, {.x0 = 0.5})[0] == 1.5);
    CHECK(assembled(sample, {.x0 = 0.5})[2] == 4.0);  // its right neighbour is outside the tile
    sample.validity = {1, 0, 1, 1, 0, 1, 1, 0, 1};
    const auto result = assembled(sample, {.x0 = 0.5});
    CHECK(std::vector<double>(result.begin(), result.begin() + 3) == std::vector<double>{1, 4, 4});
}

TEST_CASE("positions outside the tile are invalid and their labels ignored", "[sample]") {
    const Sample sample{.size = 4, .crop = 4, .tile = std::vector<double>(16, 9.0)};
    const auto result = assembled(sample, {.x0 = 2, .y0 = -1});
    const auto label = assembled_labels(std::vector<double>(16, 3.0), 4, 4, {.x0 = 2, .y0 = -1});
    for (std::size_t i = 0; i < 16; ++i) {
        const bool inside = i % 4 < 2 && i / 4 >= 1;
        CHECK(result[i] == (inside ? 9.0 : 0.0));
        CHECK(label[i] == (inside ? 3.0 : double{ops::ignore_label}));
    }
}

TEST_CASE("stored numbers are scaled, clipped, normalised and changed in this order", "[sample]") {
    // v = clamp(stored * 0.5 + 3 - 1, 4, 10); ((v - 6) / 2) * 3 + 0.25
    Sample sample{.size = 2, .crop = 2, .stored = DType::u8, .tile = {2, 4, 10, 200}};
    sample.normalisation = {
        {.multiply = 0.5f, .add = 3, .clip_low = 4, .clip_high = 10, .mean = 6, .inverse_deviation = 0.5f}};
    sample.base = 1;
    sample.gain = 3;
    sample.shift = 0.25f;
    const std::vector<double> expected{-2.75, -2.75, 1.75, 6.25};  // v = 4 (clipped from 3), 4, 7, 10
    CHECK(assembled(sample, {}) == expected);
    sample.output = DType::bf16;
    CHECK(assembled(sample, {}) == expected);
}

TEST_CASE("noise is standard normal, keyed, and leaves invalid pixels at zero", "[sample]") {
    Sample sample{.size = 64, .bands = 2, .crop = 64, .tile = std::vector<double>(8192, 0.0)};
    sample.noise = 0.5f;
    sample.noise_key = 77;
    sample.validity.assign(4096, 1.0);
    sample.validity[100] = 0;
    const auto result = assembled(sample, {});
    double sum = 0, squares = 0;
    for (const double value : result) {
        sum += value;
        squares += value * value;
    }
    CHECK(sum / 8192 == Approx(0).margin(0.03));
    CHECK(squares / 8192 == Approx(0.25).margin(0.02));
    CHECK(result[200] == 0.0);
    CHECK(result[201] == 0.0);
    CHECK(assembled(sample, {}) == result);
    sample.noise_key = 78;
    CHECK(assembled(sample, {}) != result);
}

TEST_CASE("an invalid pixel becomes what its band says, untouched by gain, shift and noise", "[sample]") {
    Sample sample{.size = 2, .bands = 2, .crop = 2, .tile = std::vector<double>(8, 4.0)};
    sample.normalisation = {{.mean = 1, .inverse_deviation = 2, .invalid = -1.5f}, {.invalid = 0.75f}};
    sample.validity = {1, 0, 0, 1};
    sample.gain = 2;
    sample.shift = 1;
    CHECK(assembled(sample, {}) == std::vector<double>{13, 9, -1.5, 0.75, -1.5, 0.75, 13, 9});
    // Turned by an eighth, so that positions are interpolated: the corners lie outside the tile.
    const auto turned =
        assembled(sample, {.xx = 0.7, .xy = -0.7, .x0 = 0.6, .yx = 0.7, .yy = 0.7, .y0 = -0.8});
    CHECK(std::count(turned.begin(), turned.end(), -1.5) > 0);
}

TEST_CASE("a label is the one of the pixel that holds the position", "[sample]") {
    // Zoomed twice: output centres at 0.25, 0.75, 1.25, ... of the tile.
    const auto result = assembled_labels({0, 1, 2, 3}, 2, 4, {.xx = 0.5, .yy = 0.5});
    CHECK(result == std::vector<double>{0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3});
}

TEST_CASE("numbers that the host has worked out arrive as they are", "[sample]") {
    const auto backend = make_candidate();
    const GuardedBuffer output(*backend, 5 * sizeof(float));
    std::vector<float> values{1, 0, 1, 0.5f, -3};
    backend->sample_kernels().write(values, {output.data(), {DType::f32, {5}}});
    values.assign(5, 7.0f);
    CHECK(decode(output.read(), DType::f32) == std::vector<double>{1, 0, 1, 0.5, -3});
    CHECK(output.canaries_intact());
}
