#include "graph/schedule.hpp"

#include <algorithm>

namespace terrane::graph {

namespace {

using device::Phase;

/// Which inputs of which nodes need a gradient: those that depend on something trainable and that a loss
/// depends on.
std::vector<std::vector<bool>> find_wanted_gradients(const Graph& graph) {
    std::vector<bool> depends_on_trainable(graph.values.size(), false);
    std::vector<bool> reaches_loss(graph.values.size(), false);
    const auto at = [](std::vector<bool>& flags, ValueId id) {
        return flags[static_cast<std::size_t>(id.index)];
    };

    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        depends_on_trainable[i] = graph.values[i].trainable == Trainable::yes;
    }
    for (const Node& node : graph.nodes) {
        const bool any = std::any_of(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId id) { return at(depends_on_trainable, id); });
        for (const ValueId id : node.outputs) depends_on_trainable[static_cast<std::size_t>(id.index)] = any;
    }
    for (const ValueId id : graph.losses) reaches_loss[static_cast<std::size_t>(id.index)] = true;

    std::vector<std::vector<bool>> wanted(graph.nodes.size());
    for (std::size_t n = graph.nodes.size(); n-- > 0;) {
        const Node& node = graph.nodes[n];
        const bool reaches = graph.mode == device::Mode::training &&
                             std::any_of(node.outputs.begin(), node.outputs.end(),
                                         [&](ValueId id) { return at(reaches_loss, id); });
        for (const ValueId id : node.inputs) {
            if (reaches) reaches_loss[static_cast<std::size_t>(id.index)] = true;
            wanted[n].push_back(reaches && at(depends_on_trainable, id));
        }
    }
    return wanted;
}

bool any_of(const std::vector<bool>& flags) {
    return std::find(flags.begin(), flags.end(), true) != flags.end();
}

class Scheduler {
  public:
    Scheduler(const Graph& graph, device::Backend& backend, Recompute recompute)
        : graph_(graph), backend_(backend) {
        schedule_.gradient_wanted = find_wanted_gradients(graph);
        schedule_.recomputation = plan_recomputation(graph, recompute, schedule_.gradient_wanted);
        terms_.resize(graph.values.size());
        parameter_written_.resize(graph.values.size(), false);
        completed_at_.resize(graph.values.size(), -1);
    }

    Schedule run(std::int64_t bucket_elements) {
        make_plans();
        for (int node = 0; node < static_cast<int>(graph_.nodes.size()); ++node) schedule_forward(node);
        for (int node = static_cast<int>(graph_.nodes.size()) - 1; node >= 0; --node) schedule_backward(node);
        if (graph_.mode == device::Mode::training) insert_buckets(bucket_elements);
        return std::move(schedule_);
    }

  private:
    int next_step() const { return static_cast<int>(schedule_.steps.size()); }

    void make_plans() {
        for (std::size_t n = 0; n < graph_.nodes.size(); ++n) {
            const Node& node = graph_.nodes[n];
            const ops::OpDescriptor descriptor = graph_.descriptor(node);
            try {
                schedule_.plans.push_back(backend_.make_plan(
                    {descriptor, node.mode.value_or(graph_.mode), schedule_.gradient_wanted[n]}));
            } catch (const Error& error) {
                throw error.with_context(fmt::format("{} '{}'", ops::name_of(node.op), node.name));
            }
        }
    }

    void schedule_forward(int node) {
        if (plan(node).requirements().forward_exchange == 0) {
            schedule_.steps.push_back(ForwardStep{node, Phase::whole, ForwardStep::Run::first});
            return;
        }
        schedule_.steps.push_back(ForwardStep{node, Phase::before_exchange, ForwardStep::Run::first});
        schedule_.steps.push_back(ExchangeStep{node, ExchangeStep::Direction::forward});
        schedule_.steps.push_back(ForwardStep{node, Phase::after_exchange, ForwardStep::Run::first});
    }

    /// The second forward run of the block whose last node is `last`. What was exchanged is still there.
    void schedule_again(int last) {
        recomputed_block_ = graph_.nodes[static_cast<std::size_t>(last)].block;
        int first = last;
        while (first > 0 && graph_.nodes[static_cast<std::size_t>(first) - 1].block == recomputed_block_)
            --first;
        for (int node = first; node <= last; ++node) {
            if (!schedule_.recomputation.repeats(node)) continue;
            const bool exchanged = plan(node).requirements().forward_exchange > 0;
            schedule_.steps.push_back(
                ForwardStep{node, exchanged ? Phase::after_exchange : Phase::whole, ForwardStep::Run::again});
        }
    }

    void schedule_backward(int index) {
        const Node& node = graph_.nodes[static_cast<std::size_t>(index)];
        const std::vector<bool>& wanted = schedule_.gradient_wanted[static_cast<std::size_t>(index)];
        if (!any_of(wanted)) return;
        if (node.block >= 0 && node.block != recomputed_block_) schedule_again(index);

        BackwardStep step;
        step.node = index;
        for (const ValueId output : node.outputs) step.output_terms.push_back(gather_terms(index, output));

        const bool exchanges = plan(index).requirements().backward_exchange > 0;
        const int last = next_step() + (exchanges ? 2 : 0);
        for (const auto& terms : step.output_terms) {
            for (const int term : terms) {
                if (term >= 0) schedule_.gradients[static_cast<std::size_t>(term)].last_step = last;
            }
        }
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            step.input_targets.push_back(wanted[i] ? make_target(node.inputs[i], next_step(), last)
                                                   : BackwardStep::Target{});
        }
        if (!exchanges) {
            schedule_.steps.push_back(std::move(step));
            return;
        }
        step.phase = Phase::before_exchange;
        schedule_.steps.push_back(step);
        schedule_.steps.push_back(ExchangeStep{index, ExchangeStep::Direction::backward});
        step.phase = Phase::after_exchange;
        schedule_.steps.push_back(std::move(step));
    }

    /// The gradient terms of an output, summed down to as many as the plan reads by itself.
    std::array<int, 2> gather_terms(int node, ValueId output) {
        std::vector<int>& terms = terms_[static_cast<std::size_t>(output.index)];
        const auto limit = static_cast<std::size_t>(plan(node).requirements().gradient_terms);
        TERRANE_ASSERT(limit == 1 || limit == 2, "a plan reads {} gradient terms", limit);
        if (terms.size() > limit) {
            SumTermsStep sum;
            sum.terms.assign(terms.begin() + static_cast<std::ptrdiff_t>(limit) - 1, terms.end());
            const TensorSpec& spec = graph_.value(output).spec;
            const ops::OpDescriptor add =
                ops::describe(ops::Add{}, std::vector<TensorSpec>(sum.terms.size(), spec));
            sum.plan = backend_.make_plan({add, device::Mode::inference, {}});
            for (const int term : sum.terms)
                schedule_.gradients[static_cast<std::size_t>(term)].last_step = next_step();
            schedule_.steps.push_back(std::move(sum));
            terms.resize(limit);
        }
        std::array<int, 2> result{-1, -1};
        std::copy(terms.begin(), terms.end(), result.begin());
        return result;
    }

    BackwardStep::Target make_target(ValueId input, int first_step, int last_step) {
        const Value& value = graph_.value(input);
        BackwardStep::Target target;
        if (value.kind == ValueKind::parameter) {
            const auto position = static_cast<std::size_t>(input.index);
            target.parameter = input;
            target.write = parameter_written_[position] ? device::GradientWrite::accumulate
                                                        : device::GradientWrite::overwrite;
            parameter_written_[position] = true;
            completed_at_[position] = last_step;
            return target;
        }
        target.gradient = static_cast<int>(schedule_.gradients.size());
        schedule_.gradients.push_back({input, first_step, last_step});
        terms_[static_cast<std::size_t>(input.index)].push_back(target.gradient);
        return target;
    }

    /// Cuts G into slices and puts each one's all-reduce right after the step that completes it.
    void insert_buckets(std::int64_t bucket_elements) {
        struct Bucket {
            StartBucketStep step;
            int after = 0;
        };
        constexpr std::int64_t granule = 16;  // as in ParameterStore
        std::vector<Bucket> buckets;
        std::int64_t offset = 0;
        for (const ValueId id : parameters_by_completion(graph_)) {
            const Value& value = graph_.value(id);
            if (value.trainable == Trainable::no) break;
            if (buckets.empty() || buckets.back().step.length >= bucket_elements) {
                buckets.push_back({{offset, 0}, buckets.empty() ? 0 : buckets.back().after});
            }
            const std::int64_t length = (value.spec.shape.elements() + granule - 1) / granule * granule;
            offset += length;
            buckets.back().step.length += length;
            buckets.back().after =
                std::max(buckets.back().after, completed_at_[static_cast<std::size_t>(id.index)]);
        }

        std::vector<Step> steps;
        std::vector<int> moved_to(schedule_.steps.size());
        std::size_t bucket = 0;
        for (std::size_t i = 0; i < schedule_.steps.size(); ++i) {
            moved_to[i] = static_cast<int>(steps.size());
            steps.push_back(std::move(schedule_.steps[i]));
            for (; bucket < buckets.size() && buckets[bucket].after == static_cast<int>(i); ++bucket) {
                steps.emplace_back(buckets[bucket].step);
            }
        }
        for (; bucket < buckets.size(); ++bucket) steps.emplace_back(buckets[bucket].step);
        schedule_.steps = std::move(steps);
        for (GradientTensor& gradient : schedule_.gradients) {
            gradient.first_step = moved_to[static_cast<std::size_t>(gradient.first_step)];
            gradient.last_step = moved_to[static_cast<std::size_t>(gradient.last_step)];
        }
    }

    device::OpPlan& plan(int node) const { return *schedule_.plans[static_cast<std::size_t>(node)]; }

    const Graph& graph_;
    device::Backend& backend_;
    Schedule schedule_;
    std::vector<std::vector<int>> terms_;  ///< per value: its gradient tensors
    std::vector<bool> parameter_written_;
    std::vector<int> completed_at_;
    int recomputed_block_ = -1;  ///< the block that backward is in
};

}  // namespace

Schedule make_schedule(const Graph& graph, device::Backend& backend, std::int64_t bucket_elements,
                       Recompute recompute) {
    return Scheduler(graph, backend, recompute).run(bucket_elements);
}

}  // namespace terrane::graph
