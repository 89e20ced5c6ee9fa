#include "kernels/run_case.hpp"

#include <deque>
#include <optional>

#include "base/philox.hpp"
#include "kernels/guarded_buffer.hpp"

namespace terrane::test {

namespace {

using device::Phase;
using Numbers = std::vector<double>;

DType dtype_for(Role role, DType compute) {
    switch (role) {
        case Role::activation:
            return compute;
        case Role::parameter:
        case Role::state:
        case Role::constant:
            return compute == DType::f64 ? DType::f64 : DType::f32;
        case Role::labels:
            return DType::u8;
        case Role::confusion:
        case Role::keys:
            return DType::i64;
    }
    return compute;
}

bool is_differentiable(Role role) {
    return role == Role::activation || role == Role::parameter;
}
bool is_written(Role role) {
    return role == Role::state || role == Role::confusion;
}

/// Whether an input has one part per sample, which ranks share out. The presence flags of a gated sum do.
bool is_per_sample(const CaseInput& input) {
    return input.role == Role::activation || input.role == Role::labels || input.role == Role::constant ||
           input.role == Role::keys || input.fill == Fill::presence;
}

std::uint64_t upstream_stream(const OpCase& one, int term) {
    return stream_of(one.name) ^ stream_of(term == 0 ? "first term" : "second term");
}

Numbers upstream_term(const OpCase& one, const RunOptions& options, std::int64_t count, int term) {
    if (!options.upstream.empty()) {
        return term == 0 ? options.upstream : Numbers(static_cast<std::size_t>(count), 0.0);
    }
    return standard_values(count, options.values, options.rounded_as, options.seed,
                           upstream_stream(one, term));
}

/// What an accumulated parameter gradient starts from.
Numbers previous_gradient(const OpCase& one, const RunOptions& options, std::size_t input) {
    return standard_values(one.inputs[input].shape.elements(), options.values,
                           options.rounded_as == DType::f64 ? DType::f64 : DType::f32, options.seed,
                           stream_of(one.name) ^ (1000 + input));
}

/// One rank's plan and memory.
class RankRun {
  public:
    RankRun(device::Backend& backend, const OpCase& one, const RunOptions& options,
            const std::vector<Numbers>& inputs, int rank)
        : backend_(backend), one_(one), options_(options), rank_(rank) {
        for (std::size_t i = 0; i < one.inputs.size(); ++i) {
            const CaseInput& input = one.inputs[i];
            const int parts = is_per_sample(input) ? options.ranks : 1;
            const Shape shape = input.shape.with(0, input.shape[0] / parts);
            specs_.push_back({dtype_for(input.role, options.compute), shape});
            const auto first = static_cast<std::ptrdiff_t>(parts == 1 ? 0 : rank * shape.elements());
            content_.push_back(encode(
                {inputs[i].begin() + first, inputs[i].begin() + first + shape.elements()}, specs_[i].dtype));
            input_buffers_.emplace_back(backend, content_[i]);
        }
        descriptor_ = ops::describe(one.op, specs_);
        choose_gradients();
        const bool frozen = one.frozen == Frozen::yes;
        plan_ = backend.make_plan({descriptor_, frozen ? device::Mode::inference : options.mode, wanted_});
        const device::Requirements& needs = plan_->requirements();
        saved_.emplace(backend, needs.saved);
        forward_workspace_.emplace(backend, needs.forward_workspace);
        backward_workspace_.emplace(backend, needs.backward_workspace);
        persistent_.emplace(backend, needs.persistent);
        const std::int64_t exchange = std::max(needs.forward_exchange, needs.backward_exchange);
        exchange_.emplace(backend, static_cast<std::size_t>(exchange) * sizeof(double));
        for (const TensorSpec& spec : descriptor_.outputs)
            output_buffers_.emplace_back(backend, spec.bytes());
        const std::int64_t samples = one.inputs[0].shape[0] / options.ranks;
        step_ = {.seed = options.seed,
                 .step = 3,
                 .first_sample = rank * samples + 5,
                 .pass_first = 5,
                 .pass_samples = samples * options.ranks};
        step_buffer_.emplace(backend, std::vector<std::byte>(sizeof(step_)));
        backend.copy_to_device(step_buffer_->data(), reinterpret_cast<const std::byte*>(&step_),
                               sizeof(step_));
        announce_parameters();
    }

    bool trains() const { return trains_; }
    std::int64_t forward_exchange() const { return plan_->requirements().forward_exchange; }
    std::int64_t backward_exchange() const { return plan_->requirements().backward_exchange; }

    void forward(Phase phase) {
        std::vector<TensorView> inputs, outputs;
        for (std::size_t i = 0; i < specs_.size(); ++i)
            inputs.push_back({input_buffers_[i].data(), specs_[i]});
        for (std::size_t i = 0; i < output_buffers_.size(); ++i) {
            outputs.push_back({output_buffers_[i].data(), descriptor_.outputs[i]});
        }
        plan_->forward({inputs, outputs, saved_->data(), forward_workspace_->data(), persistent_->data(),
                        reinterpret_cast<double*>(exchange_->data()), step_on_device(), phase});
        backend_.synchronise();
    }

    void prepare_backward() {
        const int terms = one_.is_loss() ? 0 : plan_->requirements().gradient_terms;
        const TensorSpec& output = descriptor_.outputs[0];
        if (terms > 0) {
            const std::int64_t whole = output.shape.elements() * options_.ranks;
            Numbers first = upstream_term(one_, options_, whole, 0);
            Numbers second = upstream_term(one_, options_, whole, 1);
            if (terms == 1) {
                for (std::size_t i = 0; i < first.size(); ++i) first[i] += second[i];
            }
            for (Numbers* term : {&first, &second}) {
                const auto begin = term->begin() + rank_ * output.shape.elements();
                term_buffers_.emplace_back(backend_,
                                           encode({begin, begin + output.shape.elements()}, output.dtype));
            }
        }
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            const bool accumulate = one_.inputs[i].role == Role::parameter &&
                                    options_.parameter_write == device::GradientWrite::accumulate;
            if (!wanted_[i]) {
                gradient_buffers_.emplace_back(backend_, 0);
            } else if (accumulate && rank_ == 0) {
                gradient_buffers_.emplace_back(backend_,
                                               encode(previous_gradient(one_, options_, i), specs_[i].dtype));
            } else if (accumulate) {
                gradient_buffers_.emplace_back(backend_, std::vector<std::byte>(specs_[i].bytes()));
            } else {
                gradient_buffers_.emplace_back(backend_, specs_[i].bytes());
            }
        }
    }

    void backward(Phase phase) {
        const ops::BackwardNeeds needs = ops::backward_needs_of(one_.op);
        std::vector<TensorView> inputs, outputs;
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            inputs.push_back({(needs.inputs >> i & 1u) != 0 ? input_buffers_[i].data() : nullptr, specs_[i]});
        }
        for (std::size_t i = 0; i < output_buffers_.size(); ++i) {
            const bool kept = (needs.outputs >> i & 1u) != 0;
            outputs.push_back({kept ? output_buffers_[i].data() : nullptr, descriptor_.outputs[i]});
        }
        device::GradientTerms terms;
        for (std::size_t t = 0; t < terms.size(); ++t) {
            const bool given = static_cast<int>(t) < plan_->requirements().gradient_terms && !one_.is_loss();
            terms[t] = {given ? term_buffers_[t].data() : nullptr, descriptor_.outputs[0]};
        }
        std::vector<device::GradientTarget> targets;
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            const bool parameter = one_.inputs[i].role == Role::parameter;
            targets.push_back({{gradient_buffers_[i].data(), specs_[i]},
                               parameter ? options_.parameter_write : device::GradientWrite::overwrite});
        }
        plan_->backward({inputs, outputs, std::span(&terms, 1), targets, saved_->data(),
                         backward_workspace_->data(), persistent_->data(),
                         reinterpret_cast<double*>(exchange_->data()), step_on_device(), phase});
        backend_.synchronise();
    }

    const device::StepState* step_on_device() const {
        return reinterpret_cast<const device::StepState*>(step_buffer_->data());
    }

    Numbers exchanged(std::int64_t count) const {
        Numbers values = decode(exchange_->read(), DType::f64);
        values.resize(static_cast<std::size_t>(count));
        return values;
    }
    void set_exchanged(const Numbers& sums) {
        Numbers values = decode(exchange_->read(), DType::f64);
        std::copy(sums.begin(), sums.end(), values.begin());
        exchange_->write(encode(values, DType::f64));
    }

    void collect(RunResult& result) {
        result.implementation = plan_->implementation();
        result.outputs.resize(output_buffers_.size());
        result.states.resize(specs_.size());
        result.gradients.resize(specs_.size());
        result.output_types.clear();
        result.input_types.clear();
        for (const TensorSpec& spec : descriptor_.outputs) result.output_types.push_back(spec.dtype);
        for (const TensorSpec& spec : specs_) result.input_types.push_back(spec.dtype);
        for (std::size_t i = 0; i < output_buffers_.size(); ++i) {
            join(result.outputs[i], decode(output_buffers_[i].read(), descriptor_.outputs[i].dtype),
                 one_.is_loss());
        }
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            const CaseInput& input = one_.inputs[i];
            if (is_written(input.role)) {
                const Numbers state = decode(input_buffers_[i].read(), specs_[i].dtype);
                if (rank_ == 0) result.states[i] = state;
                if (!is_per_sample(input) && state != result.states[i]) {
                    result.complaint += fmt::format("ranks hold different states (input {}); ", i);
                }
            } else if (input_buffers_[i].read() != content_[i]) {
                result.complaint += fmt::format("input {} was changed; ", i);
            }
            if (!trains_ || !wanted_[i]) continue;
            join(result.gradients[i], decode(gradient_buffers_[i].read(), specs_[i].dtype),
                 input.role == Role::parameter);
        }
        check_canaries(result);
    }

  private:
    void choose_gradients() {
        const bool possible = options_.mode == device::Mode::training && one_.has_backward();
        for (std::size_t i = 0; i < one_.inputs.size(); ++i) {
            bool wanted = possible && is_differentiable(one_.inputs[i].role);
            if (!options_.wanted.empty()) wanted = wanted && options_.wanted[i];
            wanted_.push_back(wanted);
            trains_ = trains_ || wanted;
        }
    }

    void announce_parameters() {
        std::vector<TensorView> parameters;
        for (std::size_t i = 0; i < specs_.size(); ++i) {
            const bool parameter = one_.inputs[i].role == Role::parameter;
            parameters.push_back({parameter ? input_buffers_[i].data() : nullptr, specs_[i]});
        }
        plan_->on_parameters_changed(parameters, persistent_->data());
    }

    static void join(Numbers& whole, const Numbers& part, bool adds) {
        if (!adds || whole.empty()) {
            whole.insert(whole.end(), part.begin(), part.end());
            return;
        }
        for (std::size_t i = 0; i < whole.size(); ++i) whole[i] += part[i];
    }

    void check_canaries(RunResult& result) const {
        const auto check = [&](const GuardedBuffer& buffer, const std::string& what) {
            if (!buffer.canaries_intact())
                result.complaint += what + ": bytes beside the buffer were written; ";
        };
        check(*saved_, "saved");
        check(*forward_workspace_, "forward workspace");
        check(*backward_workspace_, "backward workspace");
        check(*persistent_, "persistent");
        check(*exchange_, "exchange");
        const auto check_all = [&](const std::deque<GuardedBuffer>& buffers, const std::string& what) {
            for (std::size_t i = 0; i < buffers.size(); ++i) check(buffers[i], fmt::format("{} {}", what, i));
        };
        check_all(input_buffers_, "input");
        check_all(output_buffers_, "output");
        check_all(term_buffers_, "gradient term");
        check_all(gradient_buffers_, "gradient");
    }

    device::Backend& backend_;
    const OpCase& one_;
    const RunOptions& options_;
    int rank_;
    std::vector<TensorSpec> specs_;
    ops::OpDescriptor descriptor_;
    std::vector<bool> wanted_;
    bool trains_ = false;
    std::unique_ptr<device::OpPlan> plan_;
    device::StepState step_;
    std::vector<std::vector<std::byte>> content_;
    std::deque<GuardedBuffer> input_buffers_, output_buffers_, term_buffers_, gradient_buffers_;
    std::optional<GuardedBuffer> saved_, forward_workspace_, backward_workspace_, persistent_, exchange_,
        step_buffer_;
};

/// Runs one direction on all ranks, adding up what they exchange.
template <typename Pass>
void run_pass(std::deque<RankRun>& ranks, std::int64_t exchange, Pass pass) {
    if (exchange == 0) {
        for (RankRun& rank : ranks) pass(rank, Phase::whole);
        return;
    }
    Numbers sums(static_cast<std::size_t>(exchange), 0.0);
    for (RankRun& rank : ranks) {
        pass(rank, Phase::before_exchange);
        const Numbers part = rank.exchanged(exchange);
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += part[i];
    }
    for (RankRun& rank : ranks) {
        rank.set_exchanged(sums);
        pass(rank, Phase::after_exchange);
    }
}

}  // namespace

std::vector<Numbers> case_inputs(const OpCase& one, const RunOptions& options) {
    std::vector<Numbers> inputs;
    for (std::size_t i = 0; i < one.inputs.size(); ++i) {
        inputs.push_back(input_values(one, i, options.values, options.rounded_as, options.seed));
    }
    return inputs;
}

Numbers upstream_gradient(const OpCase& one, const RunOptions& options) {
    std::vector<TensorSpec> specs;
    for (const CaseInput& input : one.inputs) {
        specs.push_back({dtype_for(input.role, options.compute), input.shape});
    }
    const std::int64_t count = ops::describe(one.op, specs).outputs[0].shape.elements();
    Numbers sum = upstream_term(one, options, count, 0);
    const Numbers second = upstream_term(one, options, count, 1);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += second[i];
    return sum;
}

RunResult run_case(device::Backend& backend, const OpCase& one, const RunOptions& options) {
    return run_case(backend, one, options, case_inputs(one, options));
}

RunResult run_case(device::Backend& backend, const OpCase& one, const RunOptions& options,
                   const std::vector<Numbers>& inputs) {
    std::deque<RankRun> ranks;
    for (int rank = 0; rank < options.ranks; ++rank) ranks.emplace_back(backend, one, options, inputs, rank);
    run_pass(ranks, ranks[0].forward_exchange(), [](RankRun& rank, Phase phase) { rank.forward(phase); });
    if (ranks[0].trains()) {
        for (RankRun& rank : ranks) rank.prepare_backward();
        run_pass(ranks, ranks[0].backward_exchange(),
                 [](RankRun& rank, Phase phase) { rank.backward(phase); });
    }
    RunResult result;
    for (RankRun& rank : ranks) rank.collect(result);
    return result;
}

}  // namespace terrane::test
