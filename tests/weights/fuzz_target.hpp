#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace terrane::test {

/// What a fuzzer's input is taken for, by its first byte.
enum class FuzzForm : std::uint8_t {
    file,         ///< a whole file of any format
    archive,      ///< the pickle of an intact archive
    stream,       ///< the pickle of an intact legacy stream
    safetensors,  ///< the JSON header of a safetensors file, with 64 bytes of data
};
inline constexpr std::uint8_t fuzz_forms = 4;

enum class FuzzVerdict { refused, read };

/// Opens the input as weights and reads all tensors. Anything but an Error is a bug: a crash, another
/// exception, a hang, an allocation out of proportion.
FuzzVerdict fuzz_weights(std::span<const std::uint8_t> input);

/// Small inputs of every form that are read successfully.
std::vector<std::string> fuzz_seeds();

}  // namespace terrane::test
