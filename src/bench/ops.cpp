#include "bench/ops.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/philox.hpp"
#include "bench/numbers.hpp"

namespace terrane::bench {

namespace {

/// Where work is queued, so much of it is timed at once that launching the first and hearing of the last
/// count little.
double seconds_of(device::Backend& backend, const auto& work) {
    const int times = backend.shares_host_memory() ? 1 : 20;
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) work();
    backend.synchronise();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / times;
}

/// Numbers around zero with a unit spread; for the states of a norm, which must be positive, `add` lifts
/// them.
void fill_random(const TensorView& tensor, std::uint64_t key, float scale, float add) {
    for (std::int64_t i = 0; i < tensor.elements(); ++i) {
        const auto words = Philox::draw(key, 0, static_cast<std::uint64_t>(i / 4));
        const auto uniform = static_cast<float>(Philox::uniform(words[static_cast<std::size_t>(i % 4)]));
        const float value = (uniform - 0.5f) * scale + add;
        put_number(tensor, i, value);
    }
}

template <typename... Kinds>
bool is_any(const ops::Op& op) {
    return (std::holds_alternative<Kinds>(op) || ...);
}

bool has_backward(const ops::Op& op) {
    return !is_any<ops::Classify, ops::Softmax>(op);
}

/// Whether training asks for the gradient of an input of the op.
bool is_learned(const ops::Op& op, std::size_t input, std::size_t inputs) {
    if (is_any<ops::BatchNorm>(op)) return input < 3 || input > 4;  // between are the running statistics
    if (is_any<ops::GatedSum>(op)) return input + 1 < inputs;       // the last is the presence
    if (is_any<ops::CrossEntropy, ops::Dice, ops::DistanceEntropy>(op)) return input == 0;
    if (is_any<ops::LocalizationRectification>(op)) return input < 4;  // then the class map
    return has_backward(op);
}

/// Labels count up through the classes, counts start at 0; weights of classes and presence are 1, states of a
/// norm positive, everything else has a unit spread around 0.
void fill_input(const ops::Op& op, const TensorView& tensor, std::size_t input, std::size_t inputs,
                std::int64_t classes) {
    if (tensor.dtype() == DType::u8) {
        for (std::int64_t i = 0; i < tensor.elements(); ++i)
            tensor.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(i / 7 % classes);
    } else if (tensor.dtype() != DType::i64) {
        const bool norm = is_any<ops::BatchNorm>(op);
        const bool one = !norm && !is_learned(op, input, inputs) && has_backward(op);
        fill_random(tensor, input + 1, one ? 0.0f : 3.4f, one ? 1.0f : norm && input == 4 ? 2.0f : 0.0f);
    }
}

/// One op with all memory it needs.
class TimedOp {
  public:
    TimedOp(device::Backend& backend, const OpCase& op_case)
        : descriptor_(ops::describe(op_case.op, op_case.inputs)) {
        const std::size_t count = descriptor_.inputs.size();
        std::vector<bool> wanted(count);
        for (std::size_t i = 0; i < count; ++i) wanted[i] = is_learned(op_case.op, i, count);
        wanted[0] = wanted[0] && op_case.data_gradient;
        const auto mode = has_backward(op_case.op) ? device::Mode::training : device::Mode::inference;
        plan_ = backend.make_plan({descriptor_, mode, wanted});
        for (std::size_t i = 0; i < descriptor_.inputs.size(); ++i) {
            inputs_.push_back(tensor(backend, descriptor_.inputs[i]));
            fill(backend, inputs_.back(), [&](const TensorView& host) {
                fill_input(op_case.op, host, i, count, descriptor_.inputs[0].shape.channels());
            });
            device::GradientTarget target;
            if (wanted[i]) target.view = tensor(backend, descriptor_.inputs[i]);
            targets_.push_back(target);
        }
        for (std::size_t i = 0; i < descriptor_.outputs.size(); ++i) {
            outputs_.push_back(tensor(backend, descriptor_.outputs[i]));
            terms_.push_back({tensor(backend, descriptor_.outputs[i]), TensorView{}});
            const DType dtype = descriptor_.outputs[i].dtype;
            if (dtype != DType::f32 && dtype != DType::bf16 && dtype != DType::f16) continue;
            fill(backend, terms_.back()[0],
                 [&](const TensorView& host) { fill_random(host, 100 + i, 3.4f, 0); });
        }
        const device::Requirements& needs = plan_->requirements();
        saved_ = block(backend, needs.saved);
        workspace_ = block(backend, std::max(needs.forward_workspace, needs.backward_workspace));
        persistent_ = block(backend, needs.persistent);
        const std::int64_t exchanged = std::max(needs.forward_exchange, needs.backward_exchange);
        exchange_ =
            reinterpret_cast<double*>(block(backend, static_cast<std::size_t>(exchanged) * sizeof(double)));
        const device::StepState state;
        std::byte* const on_device = block(backend, sizeof(state));
        backend.copy_to_device(on_device, reinterpret_cast<const std::byte*>(&state), sizeof(state));
        step_ = reinterpret_cast<const device::StepState*>(on_device);
        has_forward_exchange_ = needs.forward_exchange > 0;
        has_backward_exchange_ = needs.backward_exchange > 0;
    }

    void pack() { plan_->on_parameters_changed(inputs_, persistent_); }

    void forward() {
        device::ForwardArguments arguments;
        arguments.inputs = inputs_;
        arguments.outputs = outputs_;
        arguments.saved = saved_;
        arguments.workspace = workspace_;
        arguments.persistent = persistent_;
        arguments.exchange = exchange_;
        arguments.step = step_;
        run_phases(has_forward_exchange_, arguments, [&] { plan_->forward(arguments); });
    }

    void backward() {
        device::BackwardArguments arguments;
        arguments.inputs = inputs_;
        arguments.outputs = outputs_;
        arguments.output_gradients = terms_;
        arguments.input_gradients = targets_;
        arguments.saved = saved_;
        arguments.workspace = workspace_;
        arguments.persistent = persistent_;
        arguments.exchange = exchange_;
        arguments.step = step_;
        run_phases(has_backward_exchange_, arguments, [&] { plan_->backward(arguments); });
    }

    const ops::OpDescriptor& descriptor() const { return descriptor_; }
    std::string implementation() const { return plan_->implementation(); }

  private:
    static void run_phases(bool exchange, auto& arguments, const auto& run) {
        if (!exchange) return run();
        arguments.phase = device::Phase::before_exchange;
        run();
        arguments.phase = device::Phase::after_exchange;
        run();
    }

    std::byte* block(device::Backend& backend, std::size_t bytes) {
        memory_.push_back(backend.allocate(bytes));
        return memory_.back().data();
    }
    TensorView tensor(device::Backend& backend, const TensorSpec& spec) {
        return {block(backend, spec.bytes()), spec};
    }
    /// Numbers are made on the host.
    static void fill(device::Backend& backend, const TensorView& tensor, const auto& make) {
        std::vector<std::byte> bytes(tensor.bytes());
        make(TensorView{bytes.data(), tensor.spec});
        backend.copy_to_device(tensor.data, bytes.data(), bytes.size());
    }

    ops::OpDescriptor descriptor_;
    std::unique_ptr<device::OpPlan> plan_;
    std::vector<device::Buffer> memory_;
    std::vector<TensorView> inputs_, outputs_;
    std::vector<device::GradientTerms> terms_;
    std::vector<device::GradientTarget> targets_;
    std::byte *saved_ = nullptr, *workspace_ = nullptr, *persistent_ = nullptr;
    double* exchange_ = nullptr;
    const device::StepState* step_ = nullptr;
    bool has_forward_exchange_ = false, has_backward_exchange_ = false;
};

/// The two yardsticks: a product of 2048 or 8192 rows, weights packed beforehand, and a copy of 64 MB or 1
/// GB; the large ones for a GPU, which the small ones leave idle or fit into its cache.
class Yardstick {
  public:
    Yardstick(device::Backend& backend, DType compute)
        : Yardstick(backend, compute, backend.shares_host_memory() ? 1 : 4) {}

    Yardstick(device::Backend& backend, DType compute, std::int64_t size)
        : backend_(backend),
          product_(backend, {"",
                             ops::Linear{},
                             {{compute, Shape{2048 * size, 1024 * size}},
                              {DType::f32, Shape{1024 * size, 1024 * size}}}}),
          copy_(backend, {"", ops::Slice{0, 64}, {{DType::f32, Shape{1, 512 * size, 512 * size, 64}}}}) {
        product_.pack();
    }

    void measure(Calibration& best) {
        const double product = seconds_of(backend_, [&] { product_.forward(); });
        const double copy = seconds_of(backend_, [&] { copy_.forward(); });
        best.flops_per_second =
            std::max(best.flops_per_second, ops::cost_of(product_.descriptor()).flops / product);
        best.bytes_per_second =
            std::max(best.bytes_per_second, ops::cost_of(copy_.descriptor()).bytes / copy);
    }

  private:
    device::Backend& backend_;
    TimedOp product_, copy_;
};

/// Backward of a layer with weights is two products of the forward one's size, one without data gradient;
/// memory-bound ops are judged by their bytes.
double backward_flops(const OpCase& op_case, double forward) {
    return forward * (op_case.data_gradient ? 2 : 1);
}

bool is_product(const ops::Op& op) {
    return std::holds_alternative<ops::Convolution>(op) || std::holds_alternative<ops::Linear>(op) ||
           std::holds_alternative<ops::MatMul>(op) || std::holds_alternative<ops::TransposedConvolution>(op);
}

}  // namespace

double OpsResult::floor_seconds() const {
    double sum = 0;
    for (const OpTime& time : times) {
        sum += static_cast<double>(time.op_case.count) *
               (time.forward_seconds + time.backward_seconds + time.pack_seconds);
    }
    return sum;
}

OpsResult measure_ops(device::Backend& backend, const std::vector<OpCase>& cases, DType compute,
                      int repetitions) {
    OpsResult result;
    Yardstick yardstick(backend, compute);
    for (const OpCase& op_case : cases) {
        TimedOp op(backend, op_case);
        const ops::Cost cost = ops::cost_of(op.descriptor());
        constexpr double never = std::numeric_limits<double>::infinity();
        OpTime time{op_case,
                    op.implementation(),
                    never,
                    never,
                    never,
                    cost.flops,
                    backward_flops(op_case, cost.flops),
                    cost.bytes};
        op.pack();
        op.forward();
        const bool backward = has_backward(op_case.op);
        if (backward) {
            op.backward();
        } else {
            time.backward_seconds = 0;
        }
        for (int i = 0; i < repetitions; ++i) {
            if (i % 4 == 0) yardstick.measure(result.calibration);
            time.pack_seconds = std::min(time.pack_seconds, seconds_of(backend, [&] { op.pack(); }));
            time.forward_seconds = std::min(time.forward_seconds, seconds_of(backend, [&] { op.forward(); }));
            if (backward)
                time.backward_seconds =
                    std::min(time.backward_seconds, seconds_of(backend, [&] { op.backward(); }));
        }
        result.times.push_back(std::move(time));
    }
    return result;
}

std::string ops_table(const OpsResult& result) {
    const Calibration& peak = result.calibration;
    std::string text = fmt::format("product {:.0f} GFLOP/s, copy {:.1f} GB/s\n", peak.flops_per_second * 1e-9,
                                   peak.bytes_per_second * 1e-9);
    text += fmt::format("{:<36}{:>4}{:>9}{:>9}{:>9}{:>9}{:>6}{:>9}{:>6}\n", "op", "n", "fwd ms", "bwd ms",
                        "pack ms", "fwd", "%", "bwd", "%");
    for (const OpTime& time : result.times) {
        text += fmt::format("{:<36}{:>4}{:>9.3f}{:>9.3f}{:>9.3f}", time.op_case.name, time.op_case.count,
                            time.forward_seconds * 1e3, time.backward_seconds * 1e3, time.pack_seconds * 1e3);
        if (is_product(time.op_case.op)) {
            const double forward = time.forward_flops / time.forward_seconds;
            const double backward = time.backward_flops / time.backward_seconds;
            text += fmt::format("{:>9.0f}{:>6.0f}{:>9.0f}{:>6.0f} GFLOP/s", forward * 1e-9,
                                100 * forward / peak.flops_per_second, backward * 1e-9,
                                100 * backward / peak.flops_per_second);
        } else {
            const double forward = time.forward_bytes / time.forward_seconds;
            text += fmt::format("{:>9.1f}{:>6.0f}{:>9}{:>6} GB/s", forward * 1e-9,
                                100 * forward / peak.bytes_per_second, "", "");
        }
        text += "  " + time.implementation + "\n";
    }
    text += fmt::format("sum {:.1f} ms\n", result.floor_seconds() * 1e3);
    return text;
}

std::string ops_json(const device::Backend& backend, const OpsResult& result, DType compute,
                     const std::string& command) {
    nlohmann::json json;
    json["bench"] = "ops";
    json["command"] = command;
    json["backend"] = backend.name();
    json["device"] = backend.description();
    json["precision"] = precision_of(compute);
    json["peak_flops_per_second"] = result.calibration.flops_per_second;
    json["peak_bytes_per_second"] = result.calibration.bytes_per_second;
    json["floor_seconds"] = result.floor_seconds();
    for (const OpTime& time : result.times) {
        nlohmann::json row{{"name", time.op_case.name},
                           {"op", ops::name_of(time.op_case.op)},
                           {"count", time.op_case.count},
                           {"implementation", time.implementation},
                           {"forward_seconds", time.forward_seconds},
                           {"backward_seconds", time.backward_seconds},
                           {"pack_seconds", time.pack_seconds},
                           {"forward_bytes", time.forward_bytes}};
        for (const TensorSpec& spec : time.op_case.inputs) row["inputs"].push_back(spec.shape.text());
        if (is_product(time.op_case.op)) {
            row["forward_flops"] = time.forward_flops;
            row["backward_flops"] = time.backward_flops;
        }
        if (const auto* conv = std::get_if<ops::Convolution>(&time.op_case.op)) {
            row["convolution"] = {{"kernel", conv->kernel},   {"stride", conv->stride},
                                  {"padding", conv->padding}, {"dilation", conv->dilation},
                                  {"groups", conv->groups},   {"data_gradient", time.op_case.data_gradient}};
        }
        json["ops"].push_back(std::move(row));
    }
    return json.dump(2);
}

}  // namespace terrane::bench
