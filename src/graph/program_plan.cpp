#include "graph/program_plan.hpp"

#include <algorithm>

namespace terrane::graph {

namespace {

/// When things are needed, read off the schedule.
struct Uses {
    std::vector<int> first;  ///< -1: never
    std::vector<int> last;

    explicit Uses(std::size_t count) : first(count, -1), last(count, -1) {}
    void at(int index, int step) {
        auto& begin = first[static_cast<std::size_t>(index)];
        if (begin < 0) begin = step;
        last[static_cast<std::size_t>(index)] = std::max(last[static_cast<std::size_t>(index)], step);
    }
};

struct StepUses {
    Uses values, forward, backward;
    Uses recomputed_values, again;          ///< values and nodes in their second life
    std::vector<std::pair<int, int>> sums;  ///< step, itself: SumTermsStep positions

    StepUses(std::size_t value_count, std::size_t node_count)
        : values(value_count),
          forward(node_count),
          backward(node_count),
          recomputed_values(value_count),
          again(node_count) {}
};

StepUses find_uses(const Graph& graph, const Schedule& schedule) {
    StepUses uses(graph.values.size(), graph.nodes.size());
    const auto use_late = [&](ValueId id, int position) {
        (schedule.recomputation.drops(id) ? uses.recomputed_values : uses.values).at(id.index, position);
    };
    for (int position = 0; position < static_cast<int>(schedule.steps.size()); ++position) {
        const Step& step = schedule.steps[static_cast<std::size_t>(position)];
        if (const auto* forward = std::get_if<ForwardStep>(&step)) {
            const Node& node = graph.nodes[static_cast<std::size_t>(forward->node)];
            if (forward->run == ForwardStep::Run::again) {
                uses.again.at(forward->node, position);
                for (const ValueId id : node.inputs) use_late(id, position);
                for (const ValueId id : node.outputs) use_late(id, position);
                continue;
            }
            uses.forward.at(forward->node, position);
            for (const ValueId id : node.inputs) uses.values.at(id.index, position);
            for (const ValueId id : node.outputs) uses.values.at(id.index, position);
        } else if (const auto* backward = std::get_if<BackwardStep>(&step)) {
            const Node& node = graph.nodes[static_cast<std::size_t>(backward->node)];
            const ops::BackwardNeeds needs = ops::backward_needs_of(node.op);
            uses.backward.at(backward->node, position);
            for (std::size_t i = 0; i < node.inputs.size(); ++i) {
                if ((needs.inputs >> i & 1u) != 0) use_late(node.inputs[i], position);
            }
            for (std::size_t i = 0; i < node.outputs.size(); ++i) {
                if ((needs.outputs >> i & 1u) != 0) use_late(node.outputs[i], position);
            }
        } else if (std::holds_alternative<SumTermsStep>(step)) {
            uses.sums.emplace_back(position, position);
        }
    }
    return uses;
}

void add_block(ProgramPlan& plan, ProgramPlan::Holds holds, int index, std::size_t bytes, int first,
               int last) {
    if (bytes == 0 || first < 0) return;
    plan.blocks.push_back({holds, index, {bytes + plan.guard_bytes, first, last}, 0});
}

void add_value_blocks(ProgramPlan& plan, const StepUses& uses) {
    const int end = static_cast<int>(plan.schedule.steps.size()) - 1;
    std::vector<bool> kept(plan.graph.values.size(), false);
    for (const auto& [name, id] : plan.graph.outputs) kept[static_cast<std::size_t>(id.index)] = true;
    for (const ValueId id : plan.graph.losses) kept[static_cast<std::size_t>(id.index)] = true;
    for (std::size_t i = 0; i < plan.graph.values.size(); ++i) {
        const Value& value = plan.graph.values[i];
        if (value.kind != ValueKind::activation) continue;
        add_block(plan, ProgramPlan::Holds::activation, static_cast<int>(i), value.spec.bytes(),
                  uses.values.first[i], kept[i] ? end : uses.values.last[i]);
        add_block(plan, ProgramPlan::Holds::recomputed_activation, static_cast<int>(i), value.spec.bytes(),
                  uses.recomputed_values.first[i], uses.recomputed_values.last[i]);
    }
    for (std::size_t i = 0; i < plan.schedule.gradients.size(); ++i) {
        const GradientTensor& gradient = plan.schedule.gradients[i];
        add_block(plan, ProgramPlan::Holds::gradient, static_cast<int>(i),
                  plan.graph.value(gradient.of).spec.bytes(), gradient.first_step, gradient.last_step);
    }
}

void add_node_blocks(ProgramPlan& plan, const StepUses& uses) {
    for (std::size_t n = 0; n < plan.graph.nodes.size(); ++n) {
        const device::Requirements& needs = plan.schedule.plans[n]->requirements();
        const int node = static_cast<int>(n);
        const int forward_first = uses.forward.first[n], forward_last = uses.forward.last[n];
        const int backward_first = uses.backward.first[n], backward_last = uses.backward.last[n];
        const auto exchange =
            static_cast<std::size_t>(std::max(needs.forward_exchange, needs.backward_exchange)) *
            sizeof(double);

        const int again_first = uses.again.first[n], again_last = uses.again.last[n];
        const int end = std::max({forward_last, again_last, backward_last});
        add_block(plan, ProgramPlan::Holds::saved, node, needs.saved, forward_first,
                  again_first < 0 ? end : forward_last);
        add_block(plan, ProgramPlan::Holds::recomputed_saved, node, needs.saved, again_first, end);
        add_block(plan, ProgramPlan::Holds::recomputed_workspace, node, needs.forward_workspace, again_first,
                  again_last);
        std::size_t states = 0;
        for (const ValueId id : updated_states(plan.graph, plan.graph.nodes[n])) {
            states += device::aligned(plan.graph.value(id).spec.bytes());
        }
        add_block(plan, ProgramPlan::Holds::recomputed_states, node, states, again_first, again_last);
        add_block(plan, ProgramPlan::Holds::forward_workspace, node, needs.forward_workspace, forward_first,
                  forward_last);
        add_block(plan, ProgramPlan::Holds::backward_workspace, node, needs.backward_workspace,
                  backward_first, backward_last);
        // One buffer for both directions; a few doubles per channel, so its long life costs nothing.
        add_block(plan, ProgramPlan::Holds::exchange, node, exchange, forward_first, end);
    }
    for (const auto& [position, step] : uses.sums) {
        const auto& sum = std::get<SumTermsStep>(plan.schedule.steps[static_cast<std::size_t>(position)]);
        add_block(plan, ProgramPlan::Holds::sum_workspace, step, sum.plan->requirements().forward_workspace,
                  position, position);
    }
}

}  // namespace

std::vector<ValueId> updated_states(const Graph& graph, const Node& node) {
    std::vector<ValueId> states;
    const device::Mode mode = node.mode.value_or(graph.mode);
    if (!std::holds_alternative<ops::BatchNorm>(node.op) || mode != device::Mode::training) return states;
    for (const ValueId id : node.inputs) {
        if (graph.value(id).kind == ValueKind::state) states.push_back(id);
    }
    return states;
}

ProgramPlan plan_program(Graph graph, device::Backend& backend, const PlanOptions& options) {
    ProgramPlan plan;
    plan.graph = std::move(graph);
    plan.schedule =
        make_schedule(plan.graph, backend, options.bucket_bytes / static_cast<std::int64_t>(sizeof(float)),
                      options.recompute);
    plan.guard_bytes = options.checks == MemoryChecks::guards ? device::alignment : 0;

    const StepUses uses = find_uses(plan.graph, plan.schedule);
    add_value_blocks(plan, uses);
    add_node_blocks(plan, uses);

    std::vector<Lifetime> lifetimes;
    for (const ProgramPlan::Block& block : plan.blocks) lifetimes.push_back(block.lifetime);
    plan.arena = plan_arena(lifetimes);
    for (std::size_t i = 0; i < plan.blocks.size(); ++i) plan.blocks[i].offset = plan.arena.offsets[i];

    plan.input_offsets.assign(plan.graph.values.size(), 0);
    for (std::size_t i = 0; i < plan.graph.values.size(); ++i) {
        if (plan.graph.values[i].kind != ValueKind::input) continue;
        plan.input_offsets[i] = plan.input_bytes;
        plan.input_bytes += device::aligned(plan.graph.values[i].spec.bytes());
    }
    for (const auto& op_plan : plan.schedule.plans) {
        plan.persistent_offsets.push_back(plan.persistent_bytes);
        plan.persistent_bytes += device::aligned(op_plan->requirements().persistent);
    }
    return plan;
}

}  // namespace terrane::graph
