#pragma once

#include <functional>
#include <memory>

#include "device/backend.hpp"
#include "device/collectives.hpp"

namespace terrane::device {

/// What `record` records, where the work may call for queued sums: each replay announces them, so that who
/// follows the sums (SumListener) sees every one. `sums` outlives the recording; null: there are none.
std::unique_ptr<Backend::Recording> record_with_sums(
    Collectives* sums, const std::function<std::unique_ptr<Backend::Recording>()>& record);

}  // namespace terrane::device
