#pragma once

#include <string>

namespace terrane::tiles {

/// The version of the HDF5 library that the program runs with: "1.10.8".
std::string hdf5_version();

}  // namespace terrane::tiles
