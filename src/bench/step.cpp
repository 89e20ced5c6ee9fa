#include "bench/step.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/philox.hpp"
#include "base/process_memory.hpp"
#include "graph/program.hpp"
#include "graph/summary.hpp"
#include "nets/freezing.hpp"

namespace terrane::bench {

namespace {

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Standard normal images, all modalities present, uniform labels: never zeros, which some hardware
/// multiplies faster.
void fill_inputs(const StepOptions& options, device::Backend& backend, graph::Program& program) {
    const auto fill = [&](const std::string& name, const auto& make) {
        const TensorView slot = program.input(name);
        std::vector<std::byte> bytes(slot.bytes());
        make(TensorView{bytes.data(), slot.spec});
        backend.copy_to_device(slot.data, bytes.data(), bytes.size());
    };
    for (const auto& modality : options.inputs.modalities) {
        fill(modality.name, [&](const TensorView& slot) {
            PhiloxStream random(1, stream_of(modality.name));
            for (std::int64_t i = 0; i < slot.elements(); ++i) {
                const auto value = static_cast<float>(random.normal());
                if (slot.dtype() == DType::bf16) {
                    slot.as<bfloat16>()[i] = bfloat16(value);
                } else {
                    slot.as<float>()[i] = value;
                }
            }
        });
    }
    fill("presence", [](const TensorView& slot) {
        for (float& value : slot.span<float>()) value = 1;
    });
    fill("labels", [&](const TensorView& slot) {
        PhiloxStream random(1, stream_of("labels"));
        for (auto& label : slot.span<std::uint8_t>()) {
            label =
                static_cast<std::uint8_t>(random.below(static_cast<std::uint32_t>(options.inputs.classes)));
        }
    });
}

class AdamwStep {
  public:
    AdamwStep(device::Backend& backend, graph::ParameterStore& store)
        : backend_(backend),
          store_(store),
          moments_(backend.allocate(2 * store.gradient_bytes())),
          segment_{0, store.trainable_elements(), 1, 1} {}

    void update(double normaliser) {
        const auto count = static_cast<std::size_t>(store_.trainable_elements());
        auto* moments = reinterpret_cast<float*>(moments_.data());
        device::UpdateScalars scalars;
        scalars.rate = 1e-3;
        scalars.gradient_scale = 1 / normaliser;
        scalars.weight_decay = 0.01;
        scalars.beta1 = 0.9;
        scalars.beta2 = 0.999;
        scalars.epsilon = 1e-8;
        scalars.step = ++step_;
        backend_.flat_kernels().adamw(store_.trainable_values(), store_.gradient_values(), {moments, count},
                                      {moments + count, count}, {&segment_, 1}, scalars);
    }

  private:
    device::Backend& backend_;
    graph::ParameterStore& store_;
    device::Buffer moments_;
    device::UpdateSegment segment_;
    std::int64_t step_ = 0;
};

std::vector<NodeSeconds> node_seconds(const graph::Program& program, int steps) {
    std::vector<NodeSeconds> rows;
    const auto layers = graph::layer_rows(program.plan());
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto& time = program.profile()[i];
        rows.push_back({layers[i].name, layers[i].op, layers[i].implementation, time.forward / steps,
                        time.backward / steps});
    }
    return rows;
}

nlohmann::json step_object(const device::Backend& backend, const StepOptions& options,
                           const StepResult& result, const std::string& command) {
    std::vector<double> sorted = result.seconds;
    std::sort(sorted.begin(), sorted.end());
    nlohmann::json json;
    json["bench"] = "step";
    json["command"] = command;
    json["backend"] = backend.name();
    json["device"] = backend.description();
    json["network"] = options.model.name;
    json["encoder"] = options.model.encoder;
    json["precision"] = options.compute == DType::bf16 ? "bf16" : "fp32";
    json["batch"] = options.inputs.batch;
    json["height"] = options.inputs.height;
    json["width"] = options.inputs.width;
    json["seconds"] = result.seconds;
    json["seconds_min"] = sorted.front();
    json["seconds_median"] = sorted[sorted.size() / 2];
    json["train_gflops_per_second"] = 3e-9 * result.forward_flops / sorted[sorted.size() / 2];
    json["tiles_per_second"] = static_cast<double>(options.inputs.batch) / sorted[sorted.size() / 2];
    json["loss"] = result.loss;
    json["recompute"] = options.recompute == graph::Recompute::blocks ? "blocks" : "none";
    json["planned_bytes"] = result.planned_bytes;
    json["arena_bytes"] = result.arena_bytes;
    json["measured_bytes"] = result.measured_bytes;
    for (const NodeSeconds& node : result.nodes) {
        json["nodes"].push_back({{"name", node.name},
                                 {"op", node.op},
                                 {"implementation", node.implementation},
                                 {"forward_seconds", node.forward},
                                 {"backward_seconds", node.backward}});
    }
    return json;
}

}  // namespace

StepResult measure_step(device::Backend& backend, const StepOptions& options) {
    const std::size_t before = process_memory().resident;
    device::SingleRank alone;
    graph::Graph network =
        nets::build_network(options.model, {}, options.inputs, nets::Task::train, options.compute);
    nets::freeze(network, options.model, options.freeze, std::nullopt);
    graph::ParameterStore store(backend, network);
    store.initialise(1);
    graph::ProgramPlan plan =
        graph::plan_program(std::move(network), backend, {.recompute = options.recompute});

    StepResult result;
    result.forward_flops = graph::forward_flops(plan);
    result.planned_bytes = graph::memory_table(plan, 2).total();
    result.arena_bytes = plan.arena.bytes;
    graph::Program program(std::move(plan), backend, store, alone);
    AdamwStep optimizer(backend, store);
    fill_inputs(options, backend, program);
    program.parameters_changed();

    for (int step = 0; step < options.warm_up + options.steps; ++step) {
        if (step == options.warm_up) program.enable_profile(options.per_node);
        const double begin = now();
        program.run_training({.seed = 1, .step = step, .first_sample = 0}, {});
        const graph::LossTotals totals = program.losses();
        optimizer.update(totals.normaliser);
        program.parameters_changed(graph::Program::Changed::trained);
        backend.synchronise();
        if (step >= options.warm_up) result.seconds.push_back(now() - begin);
        result.loss = totals.sum / totals.normaliser;
    }
    result.measured_bytes = process_memory().peak - before;
    if (options.per_node) result.nodes = node_seconds(program, options.steps);
    return result;
}

std::string step_json(const device::Backend& backend, const StepOptions& options, const StepResult& result,
                      const std::string& command) {
    return step_object(backend, options, result, command).dump(2);
}

std::string compare_recompute(device::Backend& backend, StepOptions options, const std::string& command) {
    const auto median_of = [](std::vector<double> seconds) {
        std::sort(seconds.begin(), seconds.end());
        return seconds[seconds.size() / 2];
    };
    options.recompute = graph::Recompute::none;
    const StepResult kept = measure_step(backend, options);
    nlohmann::json json;
    json["bench"] = "step, recomputed blocks";
    json["without"] = step_object(backend, options, kept, command);
    options.recompute = graph::Recompute::blocks;
    const StepResult recomputed = measure_step(backend, options);
    json["with"] = step_object(backend, options, recomputed, command);
    json["arena_ratio"] = static_cast<double>(recomputed.arena_bytes) / static_cast<double>(kept.arena_bytes);
    json["time_ratio"] = median_of(recomputed.seconds) / median_of(kept.seconds);
    json["same_loss"] = recomputed.loss == kept.loss;
    return json.dump(2);
}

}  // namespace terrane::bench
