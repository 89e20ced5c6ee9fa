#pragma once
// One include for both major versions of Catch2.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
<<<<<<< HEAD
namespace terrane::test {
inline auto contains(const std::string& part) { return Catch::Matchers::ContainsSubstring(part); }
}  // namespace terrane::test
=======
namespace Catch {
inline auto Contains(const std::string& text) { return Matchers::ContainsSubstring(text); }
}  // namespace Catch
>>>>>>> dc0be4a (Option registry: TOML reading, checks, overrides, printing, schema and reference)
#else
#include <catch2/catch.hpp>
namespace terrane::test {
inline auto contains(const std::string& part) { return Catch::Contains(part); }
}  // namespace terrane::test
#endif
