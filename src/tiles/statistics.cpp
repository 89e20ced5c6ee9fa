#include "tiles/statistics.hpp"

#include <algorithm>
#include <cmath>

#include "tensor/visit_dtype.hpp"

namespace terrane::tiles {

namespace {

template <typename Function>
void with_elements(DType dtype, std::span<const std::byte> values, const Function& function) {
    visit_dtype(dtype, [&]<typename T>(std::type_identity<T>) {
        function(std::span<const T>(reinterpret_cast<const T*>(values.data()), values.size() / sizeof(T)));
    });
}

}  // namespace

void Moments::add(double value) {
    ++count;
    const double difference = value - mean;
    mean += difference / static_cast<double>(count);
    squares += difference * (value - mean);
    minimum = std::min(minimum, value);
    maximum = std::max(maximum, value);
}

void Moments::merge(const Moments& other) {
    if (other.count == 0) return;
    const double difference = other.mean - mean;
    const auto total = static_cast<double>(count + other.count);
    squares += other.squares + difference * difference * static_cast<double>(count) *
                                   static_cast<double>(other.count) / total;
    mean += difference * static_cast<double>(other.count) / total;
    count += other.count;
    minimum = std::min(minimum, other.minimum);
    maximum = std::max(maximum, other.maximum);
}

double Moments::standard_deviation() const {
    return count > 0 ? std::sqrt(squares / static_cast<double>(count)) : 0;
}

float relative_base(std::span<const std::byte> values, std::span<const std::uint8_t> mask, DType dtype,
                    std::int64_t bands, const config::Modality& modality, std::vector<float>& scratch) {
    scratch.clear();
    const auto multiply = static_cast<float>(modality.multiply);
    const auto add = static_cast<float>(modality.add);
    const auto channels = static_cast<std::size_t>(bands);
    with_elements(dtype, values, [&](auto elements) {
        for (std::size_t pixel = 0; pixel < mask.size(); ++pixel) {
            if (mask[pixel] == 0) continue;
            for (std::size_t b = 0; b < channels; ++b) {
                scratch.push_back(static_cast<float>(elements[pixel * channels + b]) * multiply + add);
            }
        }
    });
    if (scratch.empty()) return 0;
    const auto rank = static_cast<std::ptrdiff_t>(0.02 * static_cast<double>(scratch.size() - 1));
    std::nth_element(scratch.begin(), scratch.begin() + rank, scratch.end());
    return scratch[static_cast<std::size_t>(rank)];
}

void add_moments(std::span<const std::byte> values, std::span<const std::uint8_t> mask, DType dtype,
                 float base, const config::Modality& modality, std::span<Moments> bands) {
    const auto multiply = static_cast<float>(modality.multiply);
    const auto add = static_cast<float>(modality.add);
    const auto low = static_cast<float>(modality.clip_low.value_or(-3.4e38));
    const auto high = static_cast<float>(modality.clip_high.value_or(3.4e38));
    with_elements(dtype, values, [&](auto elements) {
        for (std::size_t pixel = 0; pixel < mask.size(); ++pixel) {
            if (mask[pixel] == 0) continue;
            for (std::size_t b = 0; b < bands.size(); ++b) {
                const float stored = static_cast<float>(elements[pixel * bands.size() + b]);
                bands[b].add(double{std::clamp(stored * multiply + add - base, low, high)});
            }
        }
    });
}

}  // namespace terrane::tiles
