#include "recipe/loss_ledger.hpp"

namespace terrane::recipe {

graph::LossTotals LossLedger::wait_for(std::int64_t first, std::int64_t count) const {
    graph::LossTotals totals;
    for (std::int64_t pass = first; pass < first + count; ++pass) {
        double values[2];
        backend_.copy_to_host(reinterpret_cast<std::byte*>(values),
                              reinterpret_cast<const std::byte*>(of_pass(pass)), sizeof(values));
        totals.sum += values[0];
        totals.normaliser += values[1];
    }
    return totals;
}

}  // namespace terrane::recipe
