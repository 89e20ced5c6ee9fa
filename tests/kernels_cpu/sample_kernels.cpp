#include <cmath>
#include <numbers>

#include "base/philox.hpp"
#include "cpu/backend.hpp"
#include "kernels_cpu/plan_runner.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

/// The eight symmetries of the square applied to a crop of `edge` whose corner is (column, row).
device::SampleTransform symmetry(int number, double edge, double column, double row) {
    constexpr double turns[4][4] = {{1, 0, 0, 1}, {0, -1, 1, 0}, {-1, 0, 0, -1}, {0, 1, -1, 0}};
    const double* turn = turns[number % 4];
    const double mirror = number >= 4 ? -1 : 1;
    device::SampleTransform t{.xx = turn[0] * mirror, .xy = turn[1], .yx = turn[2] * mirror, .yy = turn[3]};
    t.x0 = column + edge / 2 - (t.xx + t.xy) * edge / 2;
    t.y0 = row + edge / 2 - (t.yx + t.yy) * edge / 2;
    return t;
}

device::SampleTransform rotation(double angle, double zoom, double edge, double column, double row) {
    const double c = std::cos(angle) * zoom, s = std::sin(angle) * zoom;
    device::SampleTransform t{.xx = c, .xy = -s, .yx = s, .yy = c};
    t.x0 = column + edge / 2 - (t.xx + t.xy) * edge / 2;
    t.y0 = row + edge / 2 - (t.yx + t.yy) * edge / 2;
    return t;
}

std::vector<device::SampleTransform> transforms() {
    std::vector<device::SampleTransform> all;
    for (int number = 0; number < 8; ++number) all.push_back(symmetry(number, 32, 5, 9));
    all.push_back(symmetry(1, 32, -7, 20));  // partly outside
    all.push_back(symmetry(0, 32, 4.5, 3.25));
    all.push_back(rotation(0.3, 1.2, 32, 3, 4));
    all.push_back(rotation(std::numbers::pi / 2, 1, 32, 5, 9));  // sines that are only almost whole
    all.push_back(rotation(2.0, 0.7, 32, 20, -6));
    return all;
}

template <typename Stored>
void compare_assembled(DType output_type, std::int64_t scale, float noise) {
    const std::int64_t tile = 48 / scale, bands = 3, crop = 32 / scale;
    Tensor stored({dtype_of<Stored>, Shape{tile, tile, bands}});
    Tensor validity({DType::u8, Shape{tile, tile}});
    PhiloxStream random(5, 1);
    for (Stored& value : stored.view().template span<Stored>())
        value = static_cast<Stored>(random.uniform(0, 120));
    for (std::uint8_t& valid : validity.view().span<std::uint8_t>()) valid = random.below(5) != 0;
    const std::vector<device::BandNormalisation> normalisations{
        {.multiply = 0.5f, .add = 1, .mean = 20, .inverse_deviation = 0.1f},
        {.clip_low = 10, .clip_high = 100, .mean = 50, .inverse_deviation = 0.05f},
        {.mean = 60, .inverse_deviation = 0.02f}};
    auto cpu = cpu::make_cpu_backend();
    auto ref = ref::make_ref_backend();
    for (const device::SampleTransform& transform : transforms()) {
        Tensor fast({output_type, Shape{crop, crop, bands}}), slow({output_type, Shape{crop, crop, bands}});
        device::ModalitySample sample;
        sample.tile = stored.view();
        sample.validity = validity.view();
        sample.scale = scale;
        sample.bands = normalisations;
        sample.base = 2;
        sample.gain = 1.1f;
        sample.shift = -0.2f;
        sample.noise = noise;
        sample.noise_key = 77;
        sample.output = fast.view();
        cpu->sample_kernels().assemble(sample, transform);
        sample.output = slow.view();
        ref->sample_kernels().assemble(sample, transform);
        INFO(transform.xx << " " << transform.xy << " " << transform.x0 << " scale " << scale);
        const Difference found = difference(fast, slow);
        CHECK(found.relative < (output_type == DType::bf16 ? 0.02 : 1e-5));
        CHECK(found.share_not_zero > 0.2);
    }
}

}  // namespace

TEST_CASE("assembled samples agree with the reference for every stored type, scale and transform") {
    for (const DType type : {DType::f32, DType::bf16}) {
        for (const float noise : {0.0f, 0.5f}) {
            compare_assembled<std::uint8_t>(type, 1, noise);
            compare_assembled<std::int16_t>(type, 2, noise);
            compare_assembled<float>(type, 4, noise);
            compare_assembled<std::int32_t>(type, 1, noise);
            compare_assembled<double>(type, 1, noise);
        }
    }
}

TEST_CASE("what an invalid pixel holds never enters a sample") {
    Tensor stored({DType::f32, Shape{16, 16, 1}});
    Tensor validity({DType::u8, Shape{16, 16}});
    for (std::int64_t i = 0; i < 256; ++i) {
        const bool valid = i % 3 != 0;
        stored.view().as<float>()[i] = valid ? 1.0f : NAN;
        validity.view().as<std::uint8_t>()[i] = valid;
    }
    auto cpu = cpu::make_cpu_backend();
    const std::vector<device::BandNormalisation> normalisations(1);
    for (const device::SampleTransform& transform :
         {device::SampleTransform{}, rotation(0.4, 0.9, 16, 0, 0), symmetry(6, 16, 0, 0)}) {
        Tensor output({DType::f32, Shape{16, 16, 1}});
        device::ModalitySample sample;
        sample.tile = stored.view();
        sample.validity = validity.view();
        sample.bands = normalisations;
        sample.output = output.view();
        cpu->sample_kernels().assemble(sample, transform);
        int ones = 0;
        for (const float value : output.view().span<float>()) {
            const bool one = std::abs(value - 1.0f) < 1e-6f;
            CHECK((one || value == 0));
            ones += one;
        }
        CHECK(ones > 100);
    }
}

TEST_CASE("labels are assembled like the reference, 255 outside the tile") {
    Tensor labels({DType::u8, Shape{48, 48}});
    PhiloxStream random(6, 1);
    for (std::uint8_t& label : labels.view().span<std::uint8_t>())
        label = static_cast<std::uint8_t>(random.below(9));
    auto cpu = cpu::make_cpu_backend();
    auto ref = ref::make_ref_backend();
    for (const device::SampleTransform& transform : transforms()) {
        Tensor fast({DType::u8, Shape{32, 32}}), slow({DType::u8, Shape{32, 32}});
        cpu->sample_kernels().assemble_labels(labels.view(), transform, fast.view());
        ref->sample_kernels().assemble_labels(labels.view(), transform, slow.view());
        INFO(transform.xx << " " << transform.xy << " " << transform.x0);
        CHECK(std::memcmp(fast.buffer.data(), slow.buffer.data(), 32 * 32) == 0);
    }
}
