#pragma once

#include <filesystem>

namespace terrane::test {

/// The checkout that the tests were built from.
std::filesystem::path source_folder();
/// Real rasters beside the checkout; not there on every machine: see skip.hpp.
std::filesystem::path shared_data();

}  // namespace terrane::test
