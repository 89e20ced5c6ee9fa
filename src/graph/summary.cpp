#include "graph/summary.hpp"

#include <algorithm>

namespace terrane::graph {

std::vector<LayerRow> layer_rows(const ProgramPlan& plan) {
    std::vector<LayerRow> rows;
    for (std::size_t n = 0; n < plan.graph.nodes.size(); ++n) {
        const Node& node = plan.graph.nodes[n];
        const ops::OpDescriptor descriptor = plan.graph.descriptor(node);
        LayerRow row{node.name,
                     std::string(ops::name_of(node.op)),
                     plan.schedule.plans[n]->implementation(),
                     descriptor.outputs[0].shape,
                     0,
                     ops::cost_of(descriptor).flops};
        for (const ValueId id : node.inputs) {
            const Value& value = plan.graph.value(id);
            if (value.kind == ValueKind::parameter) row.parameters += value.spec.shape.elements();
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

double forward_flops(const ProgramPlan& plan) {
    double flops = 0;
    for (const Node& node : plan.graph.nodes) flops += ops::cost_of(plan.graph.descriptor(node)).flops;
    return flops;
}

double recomputed_flops(const ProgramPlan& plan) {
    double flops = 0;
    for (std::size_t n = 0; n < plan.graph.nodes.size(); ++n) {
        if (!plan.schedule.recomputation.nodes[n]) continue;
        flops += ops::cost_of(plan.graph.descriptor(plan.graph.nodes[n])).flops;
    }
    return flops;
}

MemoryTable memory_table(const ProgramPlan& plan, int moment_buffers) {
    MemoryTable table;
    std::size_t trainable = 0;
    for (const Value& value : plan.graph.values) {
        if (value.kind == ValueKind::parameter) {
            table.parameters += device::aligned(value.spec.bytes());
            if (value.trainable == Trainable::yes) trainable += device::aligned(value.spec.bytes());
        } else if (value.kind == ValueKind::state) {
            table.states += device::aligned(value.spec.bytes());
        }
    }
    if (plan.graph.mode == device::Mode::training) table.gradients = trainable;
    table.optimizer = trainable * static_cast<std::size_t>(moment_buffers);
    table.packed = plan.persistent_bytes;
    table.inputs = plan.input_bytes;
    table.arena = plan.arena.bytes;
    table.arena_bound = plan.arena.lower_bound;
    return table;
}

std::vector<std::size_t> bucket_bytes(const ProgramPlan& plan) {
    std::vector<std::size_t> sizes;
    for (const Step& step : plan.schedule.steps) {
        const auto* bucket = std::get_if<StartBucketStep>(&step);
        if (bucket != nullptr) sizes.push_back(static_cast<std::size_t>(bucket->length) * sizeof(float));
    }
    return sizes;
}

std::int64_t largest_batch(const std::function<std::size_t(std::int64_t batch)>& bytes_for,
                           std::size_t budget, std::int64_t limit) {
    if (bytes_for(1) > budget) return 0;
    std::int64_t fits = 1;
    while (2 * fits <= limit && bytes_for(2 * fits) <= budget) fits *= 2;
    std::int64_t too_large = std::min(2 * fits, limit + 1);
    while (fits + 1 < too_large) {
        const std::int64_t middle = (fits + too_large) / 2;
        (bytes_for(middle) <= budget ? fits : too_large) = middle;
    }
    return fits;
}

}  // namespace terrane::graph
