#include "graph/program.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/activity.hpp"

namespace terrane::graph {

namespace {

using device::Phase;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr unsigned char guard_pattern = 0xA5;

}  // namespace

Program::Program(ProgramPlan plan, device::Backend& backend, ParameterStore& store,
                 device::Collectives& collectives, int input_slots)
    : plan_(std::move(plan)),
      backend_(backend),
      store_(store),
      collectives_(backend, collectives),
      arena_(backend.allocate(plan_.arena.bytes)),
      inputs_(backend.allocate(static_cast<std::size_t>(input_slots) * plan_.input_bytes)),
      persistent_(backend.allocate(plan_.persistent_bytes)),
      state_(backend.allocate(sizeof(device::StepState))),
      slots_(1) {
    store_.adopt(plan_.graph);
    for (const GradientTensor& gradient : plan_.schedule.gradients) {
        gradients_.push_back({nullptr, plan_.graph.value(gradient.of).spec});
    }
    for (const ProgramPlan::Block& block : plan_.blocks) {
        if (block.holds == ProgramPlan::Holds::gradient) {
            gradients_[static_cast<std::size_t>(block.index)].data = arena_.data() + block.offset;
        }
    }
    bind_nodes();
    sum_views_.resize(plan_.schedule.steps.size());
    for (std::size_t i = 0; i < plan_.schedule.steps.size(); ++i) {
        const Step& step = plan_.schedule.steps[i];
        if (const auto* backward = std::get_if<BackwardStep>(&step)) bind_backward(*backward);
        if (const auto* sum = std::get_if<SumTermsStep>(&step)) {
            for (const int term : sum->terms)
                sum_views_[i].push_back(gradients_[static_cast<std::size_t>(term)]);
        }
        const auto* exchange = std::get_if<ExchangeStep>(&step);
        const auto* run = std::get_if<ForwardStep>(&step);
        const bool forward = (run != nullptr && run->run == ForwardStep::Run::first) ||
                             (exchange != nullptr && exchange->direction == ExchangeStep::Direction::forward);
        if (forward) forward_steps_ = i + 1;
    }
    while (slots_.size() < static_cast<std::size_t>(input_slots)) {
        std::vector<NodeMemory> nodes = nodes_of_slot(slots_.size());
        slots_.emplace_back().nodes = std::move(nodes);
    }
    for (const ValueId id : plan_.graph.losses) {
        const ops::Op& op = plan_.graph.nodes[static_cast<std::size_t>(plan_.graph.value(id).producer)].op;
        losses_.push_back({reinterpret_cast<const double*>(view_of(id).data), ops::loss_weight_of(op)});
    }
    tickets_.reserve(plan_.schedule.steps.size());
    profile_.resize(plan_.graph.nodes.size());
}

TensorView Program::view_of(ValueId id) const {
    const Value& value = plan_.graph.value(id);
    switch (value.kind) {
        case ValueKind::input:
            return {inputs_.data() + plan_.input_offsets[static_cast<std::size_t>(id.index)], value.spec};
        case ValueKind::parameter:
            return store_.parameter(*store_.find(value.name));
        case ValueKind::state:
            return store_.state(value.name);
        case ValueKind::activation:
            return {block(ProgramPlan::Holds::activation, id.index), value.spec};
    }
    return {};
}

std::byte* Program::block(ProgramPlan::Holds holds, int index) const {
    for (const ProgramPlan::Block& candidate : plan_.blocks) {
        if (candidate.holds == holds && candidate.index == index) return arena_.data() + candidate.offset;
    }
    return nullptr;
}

void Program::bind_nodes() {
    for (std::size_t n = 0; n < plan_.graph.nodes.size(); ++n) {
        const Node& node = plan_.graph.nodes[n];
        const int index = static_cast<int>(n);
        const device::Requirements& needs = plan_.schedule.plans[n]->requirements();
        const ops::BackwardNeeds backward = ops::backward_needs_of(node.op);
        NodeMemory memory;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            const TensorView view = view_of(node.inputs[i]);
            const bool kept = (backward.inputs >> i & 1u) != 0;
            const bool parameter = plan_.graph.value(node.inputs[i]).kind == ValueKind::parameter;
            memory.is_trained =
                memory.is_trained || plan_.graph.value(node.inputs[i]).trainable == Trainable::yes;
            memory.inputs.push_back(view);
            memory.backward_inputs.push_back({kept ? late_view_of(node.inputs[i]).data : nullptr, view.spec});
            memory.parameters.push_back({parameter ? view.data : nullptr, view.spec});
        }
        for (std::size_t i = 0; i < node.outputs.size(); ++i) {
            const TensorView view = view_of(node.outputs[i]);
            const bool kept = (backward.outputs >> i & 1u) != 0;
            memory.outputs.push_back(view);
            memory.backward_outputs.push_back(
                {kept ? late_view_of(node.outputs[i]).data : nullptr, view.spec});
        }
        memory.saved = block(ProgramPlan::Holds::saved, index);
        memory.forward_workspace = block(ProgramPlan::Holds::forward_workspace, index);
        memory.backward_workspace = block(ProgramPlan::Holds::backward_workspace, index);
        memory.exchange = reinterpret_cast<double*>(block(ProgramPlan::Holds::exchange, index));
        memory.persistent = persistent_.data() + plan_.persistent_offsets[n];
        memory.forward_exchange = needs.forward_exchange;
        memory.backward_exchange = needs.backward_exchange;
        if (plan_.schedule.recomputation.repeats(index)) bind_second_run(index, memory);
        slots_[0].nodes.push_back(std::move(memory));
    }
}

std::vector<Program::NodeMemory> Program::nodes_of_slot(std::size_t slot) const {
    const auto move = [&](TensorView& view) {
        const bool is_input = view.data >= inputs_.data() && view.data < inputs_.data() + plan_.input_bytes;
        if (is_input) view.data += slot * plan_.input_bytes;
    };
    std::vector<NodeMemory> nodes = slots_[0].nodes;
    for (NodeMemory& memory : nodes) {
        for (TensorView& view : memory.inputs) move(view);
        for (TensorView& view : memory.backward_inputs) move(view);
        for (TensorView& view : memory.again_inputs) move(view);
    }
    return nodes;
}

void Program::choose_inputs(int slot) {
    TERRANE_ASSERT(slot >= 0 && slot < input_slots(), "slot {} of {}", slot, input_slots());
    slot_ = static_cast<std::size_t>(slot);
}

TensorView Program::late_view_of(ValueId id) const {
    TensorView view = view_of(id);
    if (plan_.schedule.recomputation.drops(id)) {
        view.data = block(ProgramPlan::Holds::recomputed_activation, id.index);
    }
    return view;
}

void Program::bind_second_run(int index, NodeMemory& memory) const {
    const Node& node = plan_.graph.nodes[static_cast<std::size_t>(index)];
    std::byte* copies = block(ProgramPlan::Holds::recomputed_states, index);
    const std::vector<ValueId> updated = updated_states(plan_.graph, node);
    for (const ValueId id : node.inputs) {
        TensorView view = late_view_of(id);
        if (std::find(updated.begin(), updated.end(), id) != updated.end()) {
            view.data = copies;
            copies += device::aligned(view.bytes());
        }
        memory.again_inputs.push_back(view);
    }
    for (const ValueId id : node.outputs) memory.again_outputs.push_back(late_view_of(id));
    memory.again_saved = block(ProgramPlan::Holds::recomputed_saved, index);
    memory.again_workspace = block(ProgramPlan::Holds::recomputed_workspace, index);
}

void Program::bind_backward(const BackwardStep& step) {
    NodeMemory& memory = slots_[0].nodes[static_cast<std::size_t>(step.node)];
    if (!memory.input_gradients.empty()) return;  // the second phase shares the first one's binding
    for (std::size_t i = 0; i < step.output_terms.size(); ++i) {
        device::GradientTerms terms;
        for (std::size_t t = 0; t < terms.size(); ++t) {
            const int gradient = step.output_terms[i][t];
            terms[t] = gradient < 0 ? TensorView{nullptr, memory.outputs[i].spec}
                                    : gradients_[static_cast<std::size_t>(gradient)];
        }
        memory.output_gradients.push_back(terms);
    }
    for (std::size_t i = 0; i < step.input_targets.size(); ++i) {
        const BackwardStep::Target& target = step.input_targets[i];
        TensorView view{nullptr, memory.inputs[i].spec};
        if (target.gradient >= 0) view = gradients_[static_cast<std::size_t>(target.gradient)];
        if (target.parameter.index >= 0) {
            view = store_.gradient(*store_.find(plan_.graph.value(target.parameter).name));
        }
        memory.input_gradients.push_back({view, target.write});
    }
}

TensorView Program::input(const std::string& name, int slot) const {
    for (std::size_t i = 0; i < plan_.graph.values.size(); ++i) {
        const Value& value = plan_.graph.values[i];
        if (value.kind != ValueKind::input || value.name != name) continue;
        TensorView view = view_of({static_cast<int>(i)});
        view.data += static_cast<std::size_t>(slot) * plan_.input_bytes;
        return view;
    }
    TERRANE_ASSERT(false, "the program has no input '{}'", name);
    return {};
}

bool Program::has_input(const std::string& name) const {
    return std::any_of(plan_.graph.values.begin(), plan_.graph.values.end(), [&](const Value& value) {
        return value.kind == ValueKind::input && value.name == name;
    });
}

TensorView Program::output(const std::string& name) const {
    for (const auto& [known, id] : plan_.graph.outputs) {
        if (known == name) return view_of(id);
    }
    TERRANE_ASSERT(false, "the program has no output '{}'", name);
    return {};
}

void Program::parameters_changed(Changed changed) {
    // What is captured fits into a std::function without memory of its own: a step allocates nothing.
    changes_[changed == Changed::trained ? 1 : 0].run(
        backend_, 1, [](std::size_t) { return false; },
        [this, changed](std::size_t) { announce_parameters(changed); });
}

void Program::announce_parameters(Changed changed) {
    const std::vector<NodeMemory>& nodes = slots_[0].nodes;  // parameters lie where they lie for all slots
    for (std::size_t n = 0; n < nodes.size(); ++n) {
        if (changed == Changed::trained && !nodes[n].is_trained) continue;
        plan_.schedule.plans[n]->on_parameters_changed(nodes[n].parameters, nodes[n].persistent);
    }
}

void Program::run_forward(const device::StepState& state) {
    poison_arena();
    announce(state);
    const device::NamedPhase phase(backend_, "forward");
    run_steps(slots_[slot_].forward, forward_steps_, {});
}

void Program::run_training(const device::StepState& state, MicroStep micro_step) {
    TERRANE_ASSERT(plan_.graph.mode == device::Mode::training, "run_training of an inference graph");
    poison_arena();
    announce(state);
    const device::NamedPhase phase(backend_, "forward and backward");
    run_steps(slots_[slot_].training[micro_step.first ? 1 : 0][micro_step.last ? 1 : 0],
              plan_.schedule.steps.size() + 1, micro_step);
}

void Program::await_buckets() {
    const double begin = profiling_ ? now() : 0;
    for (const auto ticket : tickets_) collectives_.wait(ticket);
    tickets_.clear();
    if (profiling_) collective_seconds_ += now() - begin;
}

void Program::announce(const device::StepState& state) {
    backend_.copy_to_device(state_.data(), reinterpret_cast<const std::byte*>(&state), sizeof(state));
}

const device::StepState* Program::state_on_device() const {
    return reinterpret_cast<const device::StepState*>(state_.data());
}

void Program::run_steps(RecordedSteps& recorded, std::size_t count, MicroStep micro_step) {
    const auto run = [&](std::size_t position) {
        try {
            run_step(position, micro_step);
        } catch (const Error& error) {
            throw error.with_context(place_of(position));
        }
    };
    if (profiling_ || plan_.guard_bytes > 0) {  // both look at the steps one by one
        for (std::size_t i = 0; i < count; ++i) run(i);
        return;
    }
    recorded.run(
        backend_, count, [&](std::size_t position) { return is_collective(position); }, run);
}

std::string Program::place_of(std::size_t position) const {
    const auto of_node = [&](int index, const char* what) {
        const Node& node = plan_.graph.nodes[static_cast<std::size_t>(index)];
        return fmt::format("{} of {} ({})", what, node.name, ops::name_of(node.op));
    };
    if (position == plan_.schedule.steps.size()) return "end of the gradient sums";
    const Step& step = plan_.schedule.steps[position];
    if (const auto* forward = std::get_if<ForwardStep>(&step)) return of_node(forward->node, "forward pass");
    if (const auto* backward = std::get_if<BackwardStep>(&step))
        return of_node(backward->node, "backward pass");
    if (const auto* exchange = std::get_if<ExchangeStep>(&step))
        return of_node(exchange->node, "sum over the ranks");
    if (const auto* bucket = std::get_if<StartBucketStep>(&step))
        return fmt::format("sum of gradients {} to {}", bucket->offset, bucket->offset + bucket->length);
    return "sum of gradient terms";
}

bool Program::is_collective(std::size_t position) const {
    if (collectives_.size() == 1 || collectives_.are_queued()) return false;
    if (position == plan_.schedule.steps.size()) return true;  // await_buckets()
    const Step& step = plan_.schedule.steps[position];
    return std::holds_alternative<ExchangeStep>(step) || std::holds_alternative<StartBucketStep>(step);
}

void Program::run_step(std::size_t position, MicroStep micro_step) {
    if (position == plan_.schedule.steps.size()) return await_buckets();
    const Step& step = plan_.schedule.steps[position];
    set_guards(static_cast<int>(position));
    const double begin = profiling_ ? now() : 0;
    const auto elapsed = [&] {
        backend_.synchronise();
        return now() - begin;
    };
    const auto tell = [this](const char* phase, int node) {
        activity::set_operation(phase, plan_.graph.nodes[static_cast<std::size_t>(node)].name);
    };
    if (const auto* forward = std::get_if<ForwardStep>(&step)) {
        tell("forward of", forward->node);
        run(*forward);
        if (profiling_) profile_[static_cast<std::size_t>(forward->node)].forward += elapsed();
    } else if (const auto* backward = std::get_if<BackwardStep>(&step)) {
        tell("backward of", backward->node);
        run(*backward, micro_step);
        if (profiling_) profile_[static_cast<std::size_t>(backward->node)].backward += elapsed();
    } else if (const auto* exchange = std::get_if<ExchangeStep>(&step)) {
        run(*exchange);
        if (profiling_) collective_seconds_ += now() - begin;
    } else if (const auto* sum = std::get_if<SumTermsStep>(&step)) {
        run(*sum, static_cast<int>(position));
    } else if (const auto* bucket = std::get_if<StartBucketStep>(&step)) {
        if (micro_step.last && collectives_.size() > 1) {
            const std::span<float> slice = store_.gradient_values().subspan(
                static_cast<std::size_t>(bucket->offset), static_cast<std::size_t>(bucket->length));
            tickets_.push_back(collectives_.start_sum(slice));
        }
        if (profiling_) collective_seconds_ += now() - begin;
    }
    check_guards(static_cast<int>(position));
}

void Program::run(const ForwardStep& step) {
    const NodeMemory& memory = node(step.node);
    device::ForwardArguments arguments;
    const bool again = step.run == ForwardStep::Run::again;
    arguments.inputs = again ? memory.again_inputs : memory.inputs;
    arguments.outputs = again ? memory.again_outputs : memory.outputs;
    arguments.saved = again ? memory.again_saved : memory.saved;
    arguments.workspace = again ? memory.again_workspace : memory.forward_workspace;
    arguments.persistent = memory.persistent;
    arguments.exchange = memory.exchange;
    arguments.step = state_on_device();
    arguments.phase = step.phase;
    plan_.schedule.plans[static_cast<std::size_t>(step.node)]->forward(arguments);
}

void Program::run(const ExchangeStep& step) {
    if (collectives_.size() == 1) return;
    const NodeMemory& memory = node(step.node);
    const std::int64_t count = step.direction == ExchangeStep::Direction::forward ? memory.forward_exchange
                                                                                  : memory.backward_exchange;
    collectives_.sum(std::span<double>(memory.exchange, static_cast<std::size_t>(count)));
}

void Program::run(const BackwardStep& step, MicroStep micro_step) {
    NodeMemory& memory = node(step.node);
    for (std::size_t i = 0; i < memory.input_gradients.size(); ++i) {
        const BackwardStep::Target& target = step.input_targets[i];
        const bool adds = target.parameter.index >= 0 && !micro_step.first;
        memory.input_gradients[i].write = adds ? device::GradientWrite::accumulate : target.write;
    }
    device::BackwardArguments arguments;
    arguments.inputs = memory.backward_inputs;
    arguments.outputs = memory.backward_outputs;
    arguments.output_gradients = memory.output_gradients;
    arguments.input_gradients = memory.input_gradients;
    arguments.saved = plan_.schedule.recomputation.repeats(step.node) ? memory.again_saved : memory.saved;
    arguments.workspace = memory.backward_workspace;
    arguments.persistent = memory.persistent;
    arguments.exchange = memory.exchange;
    arguments.step = state_on_device();
    arguments.phase = step.phase;
    plan_.schedule.plans[static_cast<std::size_t>(step.node)]->backward(arguments);
}

void Program::run(const SumTermsStep& step, int position) {
    const std::vector<TensorView>& views = sum_views_[static_cast<std::size_t>(position)];
    device::ForwardArguments arguments;
    arguments.inputs = views;
    arguments.outputs = std::span(views).first(1);
    arguments.workspace = block(ProgramPlan::Holds::sum_workspace, position);
    step.plan->forward(arguments);
}

LossTotals Program::losses() const {
    LossTotals totals;
    for (std::size_t i = 0; i < losses_.size(); ++i) {
        double value[2];
        backend_.copy_to_host(reinterpret_cast<std::byte*>(value),
                              reinterpret_cast<const std::byte*>(losses_[i].value), sizeof(value));
        totals.sum += losses_[i].weight * value[0];
        if (i == 0) totals.normaliser = value[1];
    }
    return totals;
}

void Program::total_losses(double* totals) {
    backend_.flat_kernels().total_losses(losses_, totals);
}

void Program::poison_arena() {
    if (plan_.guard_bytes == 0) return;
    TERRANE_ASSERT(backend_.shares_host_memory(), "memory checks of {}", backend_.name());
    std::memset(arena_.data(), 0xFF, arena_.bytes());  // NaN in every floating type
}

void Program::set_guards(int position) {
    if (plan_.guard_bytes == 0) return;
    for (const ProgramPlan::Block& born : plan_.blocks) {
        if (born.lifetime.first == position) std::memset(guard_of(born), guard_pattern, plan_.guard_bytes);
    }
}

void Program::check_guards(int position) const {
    if (plan_.guard_bytes == 0) return;
    for (const ProgramPlan::Block& alive : plan_.blocks) {
        if (alive.lifetime.first > position || alive.lifetime.last < position) continue;
        const std::byte* guard = guard_of(alive);
        for (std::size_t i = 0; i < plan_.guard_bytes; ++i) {
            TERRANE_ASSERT(guard[i] == std::byte{guard_pattern},
                           "step {} wrote behind block {} of node or value {}", position,
                           static_cast<int>(alive.holds), alive.index);
        }
    }
}

std::byte* Program::guard_of(const ProgramPlan::Block& guarded) const {
    return arena_.data() + guarded.offset + guarded.lifetime.bytes - plan_.guard_bytes;
}

}  // namespace terrane::graph
