#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor_view.hpp"

namespace terrane::weights {

/// One tensor of a safetensors file: where its bytes lie, counted from the start of the file.
struct StoredTensor {
    std::string name;
    TensorSpec spec;
    std::uint64_t offset = 0;
};

/// What a safetensors file says about itself.
struct SafetensorsHeader {
    std::vector<StoredTensor> tensors;            ///< ascending offsets
    std::map<std::string, std::string> metadata;  ///< the "__metadata__" entry
};

/// Longest header that is read, in bytes: the limit of the format's own implementation.
inline constexpr std::uint64_t longest_safetensors_header = 100'000'000;

/// Length of the JSON header from a file's first eight bytes. Throws Error E0601 if the file of `file_size`
/// bytes can't be a safetensors file. `file` is named in messages.
std::uint64_t safetensors_header_length(std::span<const std::byte> first_bytes, std::uint64_t file_size,
                                        std::string_view file);

/// Parses and checks the JSON header against a file of `file_size` bytes: every type is known, every shape
/// matches its bytes, and the tensors fill the data part without gaps, overlaps or anything outside. The
/// input is hostile: depth and sizes are bounded, duplicate names are refused. Throws Error E0601 (file) or
/// E0602 (tensor).
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t file_size,
                                           std::string_view file);

/// The JSON header for tensors laid out in the given order, padded so that the data starts at a multiple of
/// 64 bytes; sets the offsets. Preceded in the file by its length as a little-endian 64-bit number.
std::string make_safetensors_header(SafetensorsHeader& header);

}  // namespace terrane::weights
