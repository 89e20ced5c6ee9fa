#include "kernels/case_data.hpp"

#include <cstring>

#include "base/philox.hpp"
#include "tensor/float16.hpp"

namespace terrane::test {

namespace {

double drawn(PhiloxStream& stream, Fill fill, Values values, std::int64_t index, std::int64_t classes) {
    const bool integers = values == Values::integers;
    switch (fill) {
        case Fill::standard:
            return integers ? static_cast<double>(stream.below(5)) - 2 : stream.uniform(-1.5, 1.5);
        case Fill::scale:
            return integers ? 1 + static_cast<double>(stream.below(2)) : stream.uniform(0.5, 1.5);
        case Fill::positive:
            return integers ? 1 + static_cast<double>(stream.below(2)) : stream.uniform(0.5, 2);
        case Fill::presence:
            return index == 0 || stream.below(4) > 0 ? 1 : 0;
        case Fill::class_weights:
            return integers ? 1 + static_cast<double>(stream.below(2)) : stream.uniform(0.5, 2);
        case Fill::class_weights_with_zero:
            return index == 1 ? 0 : drawn(stream, Fill::class_weights, values, index, classes);
        case Fill::labels: {
            if (stream.below(5) == 0) return ops::ignore_label;
            if (stream.below(20) == 0) return static_cast<double>(classes + stream.below(3));
            return stream.below(static_cast<std::uint32_t>(classes));
        }
        case Fill::labels_all_ignored:
            return ops::ignore_label;
        case Fill::distances:
            return stream.below(5) == 0 ? 0 : stream.below(256);
        case Fill::zero:
            return 0;
        case Fill::half_keys:
            return (static_cast<double>(stream.word()) - 2e9) * 1048576;
        case Fill::one_hot:
        case Fill::quarters:
            return 0;  // drawn pixel by pixel
        case Fill::far_from_zero:
            return 100 + stream.uniform(-1.5, 1.5);
    }
    return 0;
}

template <typename T>
void encode_as(const std::vector<double>& values, std::byte* bytes) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        T element;
        if constexpr (sizeof(T) == 2) {
            element = T(static_cast<float>(values[i]));
        } else {
            element = static_cast<T>(values[i]);
        }
        std::memcpy(bytes + i * sizeof(T), &element, sizeof(T));
    }
}

template <typename T>
std::vector<double> decode_as(const std::vector<std::byte>& bytes) {
    std::vector<double> values(bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
        T element;
        std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
        if constexpr (sizeof(T) == 2) {
            values[i] = static_cast<float>(element);
        } else {
            values[i] = static_cast<double>(element);
        }
    }
    return values;
}

}  // namespace

double rounded(double value, DType dtype) {
    if (dtype == DType::f32) return static_cast<float>(value);
    if (dtype == DType::bf16) return static_cast<float>(bfloat16(static_cast<float>(value)));
    if (dtype == DType::f16) return static_cast<float>(float16(static_cast<float>(value)));
    return value;
}

std::vector<double> input_values(const OpCase& one, std::size_t input, Values values, DType rounded_as,
                                 std::uint64_t seed) {
    const CaseInput& spec = one.inputs[input];
    PhiloxStream stream(seed, stream_of(one.name) + input);
    std::vector<double> result(static_cast<std::size_t>(spec.shape.elements()));
    if (spec.fill == Fill::one_hot || spec.fill == Fill::quarters) {
        const auto classes = static_cast<std::size_t>(spec.shape.channels());
        const int parts = spec.fill == Fill::one_hot ? 1 : 4;
        for (std::size_t first = 0; first < result.size(); first += classes) {
            const bool none = stream.below(6) == 0;
            for (int part = 0; part < parts; ++part) {
                const std::size_t c = stream.below(static_cast<std::uint32_t>(classes));
                result[first + c] += none ? 0 : 1.0 / parts;
            }
        }
        return result;
    }
    for (std::size_t i = 0; i < result.size(); ++i) {
        const Fill fill = spec.role == Role::confusion ? Fill::positive : spec.fill;
        const Values kind = spec.role == Role::confusion ? Values::integers : values;
        const double value = drawn(stream, fill, kind, static_cast<std::int64_t>(i), one.classes());
        result[i] = rounded(
            value, spec.role == Role::activation || rounded_as == DType::f64 ? rounded_as : DType::f32);
    }
    return result;
}

std::vector<double> standard_values(std::int64_t count, Values values, DType rounded_as, std::uint64_t seed,
                                    std::uint64_t stream_number) {
    PhiloxStream stream(seed, stream_number);
    std::vector<double> result(static_cast<std::size_t>(count));
    for (double& value : result) value = rounded(drawn(stream, Fill::standard, values, 0, 1), rounded_as);
    return result;
}

std::vector<std::byte> encode(const std::vector<double>& values, DType dtype) {
    std::vector<std::byte> bytes(values.size() * size_of(dtype));
    if (dtype == DType::f32)
        encode_as<float>(values, bytes.data());
    else if (dtype == DType::f64)
        encode_as<double>(values, bytes.data());
    else if (dtype == DType::bf16)
        encode_as<bfloat16>(values, bytes.data());
    else if (dtype == DType::f16)
        encode_as<float16>(values, bytes.data());
    else if (dtype == DType::u8)
        encode_as<std::uint8_t>(values, bytes.data());
    else if (dtype == DType::i64)
        encode_as<std::int64_t>(values, bytes.data());
    else
        TERRANE_ASSERT(false, "no test data of type {}", name_of(dtype));
    return bytes;
}

std::vector<double> decode(const std::vector<std::byte>& bytes, DType dtype) {
    if (dtype == DType::f32) return decode_as<float>(bytes);
    if (dtype == DType::f64) return decode_as<double>(bytes);
    if (dtype == DType::bf16) return decode_as<bfloat16>(bytes);
    if (dtype == DType::f16) return decode_as<float16>(bytes);
    if (dtype == DType::u8) return decode_as<std::uint8_t>(bytes);
    TERRANE_ASSERT(dtype == DType::i64, "no test data of type {}", name_of(dtype));
    return decode_as<std::int64_t>(bytes);
}

}  // namespace terrane::test
