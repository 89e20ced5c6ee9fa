#include "bench/step.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "base/process_memory.hpp"
#include "bench/numbers.hpp"
#include "config/weak_maps.hpp"
#include "graph/summary.hpp"
#include "nets/freezing.hpp"
#include "recipe/planned_memory.hpp"
#include "recipe/recipe.hpp"
#include "train/update.hpp"

namespace terrane::bench {

namespace {

constexpr int adamw_moments = 2;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Of a hundred pixels, how many no scribble and no pseudo-label reaches.
constexpr std::uint32_t scribble_gaps = 95, pseudo_gaps = 20;

void fill_classes(const TensorView& slot, const std::string& name, std::uint32_t classes,
                  std::uint32_t gaps) {
    PhiloxStream random(1, stream_of(name));
    for (auto& pixel : slot.span<std::uint8_t>()) {
        pixel =
            random.below(100) < gaps ? std::uint8_t{255} : static_cast<std::uint8_t>(random.below(classes));
    }
}

/// Standard normal images, all modalities present, uniform labels and distances: never zeros, which some
/// hardware multiplies faster.
void fill_inputs(const StepOptions& options, device::Backend& backend, const recipe::InputPorts& program) {
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
                put_number(slot, i, value);
            }
        });
    }
    fill("presence", [](const TensorView& slot) {
        for (float& value : slot.span<float>()) value = 1;
    });
    const auto classes = static_cast<std::uint32_t>(options.inputs.classes);
    fill("labels", [&](const TensorView& slot) { fill_classes(slot, "labels", classes, 0); });
    for (const std::string& map : config::weak_maps_of(options.loss)) {
        fill(map, [&](const TensorView& slot) {
            if (config::holds_classes(map)) {
                fill_classes(slot, map, classes, map == config::scribble_map ? scribble_gaps : pseudo_gaps);
                return;
            }
            PhiloxStream random(1, stream_of(map));
            for (auto& distance : slot.span<std::uint8_t>())
                distance = static_cast<std::uint8_t>(random.below(256));
        });
    }
}

/// AdamW; pkdiff's recipe clips gradients to a norm of 1 before.
config::Optim optimizer_settings(const config::Model& model) {
    config::Optim settings;
    settings.name = "adamw";
    settings.weight_decay = 0.01;
    settings.clip_norm = model.name == "pkdiff" ? 1 : 0;
    return settings;
}

std::vector<NodeSeconds> node_seconds(const std::vector<recipe::Part>& parts, int steps) {
    std::vector<NodeSeconds> rows;
    for (const recipe::Part& part : parts) {
        const auto layers = graph::layer_rows(part.program->plan());
        const std::string prefix = part.name.empty() ? "" : part.name + ".";
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const auto& time = part.program->profile()[i];
            rows.push_back({prefix + layers[i].name, layers[i].op, layers[i].implementation,
                            time.forward / steps, time.backward / steps});
        }
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
    json["precision"] = precision_of(options.compute);
    json["batch"] = options.inputs.batch;
    json["height"] = options.inputs.height;
    json["width"] = options.inputs.width;
    json["updates"] = result.updates;
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
    const auto per_step = [&](std::int64_t count) {
        return static_cast<double>(count) / static_cast<double>(result.seconds.size());
    };
    json["per_step"] = {{"launches", per_step(result.work.launches)},
                        {"replayed_work_items", per_step(result.work.replayed)},
                        {"host_waits", per_step(result.work.host_waits)},
                        {"allocations", per_step(result.work.allocations)}};
    for (const NodeSeconds& node : result.nodes) {
        json["nodes"].push_back({{"name", node.name},
                                 {"op", node.op},
                                 {"implementation", node.implementation},
                                 {"forward_seconds", node.forward},
                                 {"backward_seconds", node.backward}});
    }
    return json;
}

recipe::Design design_of(const StepOptions& options) {
    recipe::Design design;
    design.model = options.model;
    design.loss = options.loss;
    design.inputs = options.inputs;
    design.compute = options.compute;
    design.plan.recompute = options.recompute;
    design.crop = options.inputs.height;
    graph::Graph network = recipe::parameter_graph(design);
    const nets::Frozen frozen = nets::freeze(network, options.model, options.freeze, std::nullopt);
    design.frozen = {frozen.names.begin(), frozen.names.end()};
    return design;
}

void require_memory(const recipe::Design& design, device::Backend& backend, std::size_t budget) {
    const std::size_t needed = recipe::planned_memory(design, backend, adamw_moments).total();
    if (needed <= budget) return;
    const std::int64_t batch =
        recipe::largest_batch(design, backend, adamw_moments, budget, design.inputs.batch);
    throw Error(ExitCode::device_unavailable, 751,
                fmt::format("a step with a batch of {} would need {} MB and may use {} MB.",
                            design.inputs.batch, needed >> 20, budget >> 20),
                batch > 0
                    ? fmt::format("The largest batch that fits: --batch {}. Or allow more with --ram.", batch)
                    : std::string("Not even one sample fits. Use a smaller --size, or allow more "
                                  "with --ram."));
}

}  // namespace

StepResult measure_step(device::Backend& backend, const StepOptions& options) {
    const std::size_t before = process_memory().resident;
    const std::optional<std::size_t> left_before = backend.memory_left();
    device::SingleRank alone;
    const recipe::Design design = design_of(options);
    require_memory(design, backend, options.budget);
    graph::ParameterStore store(backend, recipe::parameter_graph(design));
    store.initialise(1);
    const auto training = recipe::make_training(design, {backend, store, alone});
    const std::vector<recipe::Part> parts = training->parts();

    StepResult result;
    result.updates = training->updates();
    result.planned_bytes =
        store.parameter_bytes() + store.gradient_bytes() + store.state_bytes() + training->bytes();
    for (const recipe::Part& part : parts) {
        result.forward_flops += static_cast<double>(part.runs) * graph::forward_flops(part.program->plan());
        result.arena_bytes += part.program->plan().arena.bytes;
    }
    optim::Optimizer optimizer(optimizer_settings(options.model), {{0, store.trainable_elements(), 1, 1}},
                               store.trainable_elements(), backend);
    train::SavedStates states(store, backend);
    // As in a training: where the device has a queue, one step is computed while the next is queued.
    const std::size_t ahead = backend.shares_host_memory() ? 0 : static_cast<std::size_t>(result.updates);
    train::Update update(optimizer, store, states, backend, alone, nullptr, training->most_passes(),
                         ahead + static_cast<std::size_t>(result.updates));
    const auto take = [&] {
        const device::UpdateSums sums = update.take().record.sums;
        result.loss = sums.loss / sums.normaliser;
    };
    result.planned_bytes += optimizer.bytes() + states.bytes() + update.bytes();
    fill_inputs(options, backend, *training);
    training->parameters_changed();
    states.keep();

    device::WorkCounts warm;
    for (int step = 0; step < options.warm_up + options.steps; ++step) {
        if (step == options.warm_up) {
            warm = backend.work_counts();
            for (const recipe::Part& part : parts) part.program->enable_profile(options.per_node);
        }
        const double begin = now();
        training->run({.seed = 1,
                       .step = step,
                       .batch = options.inputs.batch,
                       .fill = [](std::int64_t) { return 0; },
                       .update =
                           [&](const device::PassLosses& losses) {
                               update.queue({.rate = 1e-3}, losses);
                               training->parameters_changed();
                           }});
        while (update.waiting() > ahead) take();
        if (step >= options.warm_up) result.seconds.push_back(now() - begin);
    }
    while (update.waiting() > 0) take();
    backend.synchronise();
    result.work = backend.work_counts() - warm;
    const std::optional<std::size_t> left = backend.memory_left();
    result.measured_bytes =
        left && left_before ? *left_before - std::min(*left, *left_before) : process_memory().peak - before;
    if (options.per_node) result.nodes = node_seconds(parts, options.steps);
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
