#pragma once

#include <cstdint>
#include <vector>

#include "kernels/op_case.hpp"

namespace terrane::test {

enum class Values { integers, reals };

/// The elements of one input, representable in `rounded_as` (f32, bf16, f16 or f64): a function of the seed,
/// the case's name and the position only, so that every backend and every element type sees the same numbers.
std::vector<double> input_values(const OpCase& one, std::size_t input, Values values, DType rounded_as,
                                 std::uint64_t seed);

/// Like that, for anything else: gradients coming from above, and what a parameter gradient is added to.
std::vector<double> standard_values(std::int64_t count, Values values, DType rounded_as, std::uint64_t seed,
                                    std::uint64_t stream);

/// A number rounded as storing it would.
double rounded(double value, DType dtype);
/// The bytes of numbers stored as `dtype`, and back.
std::vector<std::byte> encode(const std::vector<double>& values, DType dtype);
std::vector<double> decode(const std::vector<std::byte>& bytes, DType dtype);

}  // namespace terrane::test
