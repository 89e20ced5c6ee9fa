#include "recipe/planned_memory.hpp"

#include "device/planning_backend.hpp"
#include "graph/summary.hpp"

namespace terrane::recipe {

PlannedMemory planned_memory(const Design& design, device::Backend& backend, int moment_buffers) {
    device::PlanningBackend planning(backend);
    device::SingleRank alone;
    graph::ParameterStore store(planning, parameter_graph(design));
    const auto training = make_training(design, {planning, store, alone});
    return {store.parameter_bytes(), store.gradient_bytes(),
            static_cast<std::size_t>(moment_buffers) * store.gradient_bytes(), store.state_bytes(),
            training->bytes()};
}

std::int64_t largest_batch(const Design& design, device::Backend& backend, int moment_buffers,
                           std::size_t budget, std::int64_t most) {
    const auto bytes_for = [&](std::int64_t batch) {
        Design sized = design;
        sized.inputs.batch = batch;
        return planned_memory(sized, backend, moment_buffers).total();
    };
    return graph::largest_batch(bytes_for, budget, most);
}

}  // namespace terrane::recipe
