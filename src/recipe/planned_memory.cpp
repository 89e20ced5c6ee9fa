#include "recipe/planned_memory.hpp"

#include "device/planning_backend.hpp"

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

}  // namespace terrane::recipe
