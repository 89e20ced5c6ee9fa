#pragma once
// One include for both major versions of Catch2.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace terrane::test {
inline auto contains(const std::string& part) { return Catch::Matchers::ContainsSubstring(part); }
}  // namespace terrane::test
#else
#include <catch2/catch.hpp>
namespace terrane::test {
inline auto contains(const std::string& part) { return Catch::Contains(part); }
}  // namespace terrane::test
#endif
