#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.hpp"
#include "weights/safetensors_header.hpp"

/// libFuzzer's entry point (clang++ -fsanitize=fuzzer,address with this file and src/weights); the ordinary
/// tests call it with mutated files. Anything but a clean parse or an Error is a bug.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
    try {
        const std::uint64_t length = terrane::weights::safetensors_header_length(bytes, size, "fuzz");
        const auto* text = reinterpret_cast<const char*>(data) + 8;
        const auto header =
            terrane::weights::parse_safetensors_header(std::string_view(text, length), size, "fuzz");
        for (const auto& tensor : header.tensors) {
            if (tensor.offset + tensor.spec.bytes() > size || tensor.offset < 8 + length) __builtin_trap();
        }
    } catch (const terrane::Error&) {
        return 0;
    }
    return 1;
}
