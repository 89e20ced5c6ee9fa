#pragma once

#include <memory>
#include <vector>

#include "device/backend.hpp"

namespace terrane::test {

/// The backend under test: each test executable links one definition (candidate_ref.cpp, candidate_cpu.cpp
/// …). Skips the test, with the reason, where the device is missing.
std::unique_ptr<device::Backend> make_candidate();

/// The compute types whose plans must not be refused.
std::vector<DType> candidate_types();

}  // namespace terrane::test
