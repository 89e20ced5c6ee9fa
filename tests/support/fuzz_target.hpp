#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

/// What a fuzzing target defines; fuzz_driver.cpp and fuzz_libfuzzer.cpp call it
/// (cmake/terrane_add_fuzz_test.cmake).
namespace terrane::test {

enum class FuzzVerdict { refused, read };

/// Takes the first byte of the input as its form, and reads the rest. Anything but an Error is a bug: a
/// crash, another exception, a hang, an allocation out of proportion.
FuzzVerdict fuzz_input(std::span<const std::uint8_t> input);

/// Small inputs of every form that are read successfully.
std::vector<std::string> fuzz_seeds();

}  // namespace terrane::test
