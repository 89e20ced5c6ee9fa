#include "recipe/recursion.hpp"

#include <algorithm>

#include "graph/one_rank.hpp"

namespace terrane::recipe {

namespace {

/// One patch of all samples within a tensor that holds several, one after another.
std::byte* part(std::byte* all, std::int64_t patch, std::size_t bytes) {
    return all + static_cast<std::size_t>(patch) * bytes;
}

}  // namespace

nets::DiffusionGraphs diffusion_graphs(const Design& design) {
    const std::int64_t crop = design.crop > 0 ? design.crop : design.inputs.height;
    return {design.model, design.inputs,
            nets::diffusion_scales(design.model.diffusion, design.inputs.height, design.inputs.width, crop),
            design.task, design.compute};
}

Recursion::Recursion(const Design& design, const Machine& machine, std::int64_t micro_batches)
    : design_(design),
      machine_(machine),
      graphs_(diffusion_graphs(design_)),
      times_(nets::diffusion_times(design_.model.diffusion)),
      prepare_(program(graphs_.prepare())),
      begin_(program(graphs_.begin())) {
    const auto& outputs = prepare_.plan().graph.outputs;
    for (std::size_t l = 0; l < graphs_.scales.size(); ++l) {
        advance_.push_back(program(graphs_.advance(l)));
        join_.emplace_back();
        if (graphs_.scales[l].patches() > 1) join_.back().emplace(program(graphs_.join(l)));
        const bool trains = design_.task == nets::Task::train;
        steps_.push_back({program(graphs_.step(l), trains ? design_.plan : graph::PlanOptions{}), {}, false});
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            // "image.1" feeds "image" of scale 1, "encoding.1.2" feeds "encoding.2".
            std::string name = outputs[i].first;
            const std::string mark = "." + std::to_string(l);
            const std::size_t dot = name.find('.');
            if (name.compare(dot, mark.size(), mark) != 0) continue;
            name.erase(dot, mark.size());
            steps_.back().feeds.push_back({steps_.back().program.input(name), i});
        }
    }
    const auto allocate = [&](std::size_t bytes) {
        sample_bytes_ += bytes;
        return machine_.backend.allocate(bytes);
    };
    for (std::int64_t m = 0; m < micro_batches; ++m) {
        Samples& samples = samples_.emplace_back();
        samples.keys = allocate(begin_.input("keys").bytes());
        for (const auto& [name, id] : outputs) {
            samples.constants.push_back(allocate(prepare_.plan().graph.value(id).spec.bytes()));
        }
        for (std::size_t l = 0; l < graphs_.scales.size(); ++l) {
            const std::size_t bytes = graphs_.state(l).bytes();
            samples.states.push_back(allocate(bytes));
            samples.patches.push_back(allocate(join_[l] ? bytes : 0));
            samples.averages.push_back(allocate(graphs_.blends(l) && graphs_.blends_over_time() ? bytes : 0));
        }
    }
}

std::int64_t Recursion::most_patches() const {
    std::int64_t most = 1;
    for (const auto& scale : graphs_.scales) most = std::max(most, scale.patches());
    return most;
}

graph::Program Recursion::program(graph::Graph graph, const graph::PlanOptions& options) const {
    if (machine_.collectives.size() == 1) graph::leave_out_exchange(graph);
    return {graph::plan_program(std::move(graph), machine_.backend, options), machine_.backend,
            machine_.store, machine_.collectives};
}

void Recursion::write_number(const TensorView& slot, float value) {
    if (slot.dtype() == DType::f64) {
        const double wide = static_cast<double>(value);
        machine_.backend.copy_to_device(slot.data, reinterpret_cast<const std::byte*>(&wide), sizeof(wide));
        return;
    }
    machine_.backend.copy_to_device(slot.data, reinterpret_cast<const std::byte*>(&value), sizeof(value));
}

void Recursion::take(std::int64_t m, std::uint64_t seed, std::span<const std::int64_t> keys) {
    Samples& samples = samples_[static_cast<std::size_t>(m)];
    TERRANE_ASSERT(static_cast<std::int64_t>(keys.size()) == batch(), "{} keys for {} samples", keys.size(),
                   batch());
    machine_.backend.copy_to_device(samples.keys.data(), reinterpret_cast<const std::byte*>(keys.data()),
                                    keys.size_bytes());
    prepare_.run_forward({.seed = seed});
    const auto& outputs = prepare_.plan().graph.outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        const TensorView view = prepare_.output(outputs[i].first);
        machine_.backend.copy_on_device(samples.constants[i].data(), view.data, view.bytes());
    }
    begin(m, seed);
}

void Recursion::begin(std::int64_t m, std::uint64_t seed) {
    Samples& samples = samples_[static_cast<std::size_t>(m)];
    const TensorView keys = begin_.input("keys");
    machine_.backend.copy_on_device(keys.data, samples.keys.data(), keys.bytes());
    begin_.run_forward({.seed = seed});
    const TensorView state = begin_.output("state");
    machine_.backend.copy_on_device(samples.states.back().data(), state.data, state.bytes());
}

void Recursion::pass(std::int64_t m, std::int64_t pass, std::uint64_t seed, const RunPatch& run) {
    Samples& samples = samples_[static_cast<std::size_t>(m)];
    device::Backend& backend = machine_.backend;
    const std::size_t scale = scale_of(pass);
    const std::size_t before = scale == 0 ? graphs_.scales.size() - 1 : scale - 1;
    const float time = times_[static_cast<std::size_t>(pass)];

    graph::Program& advance = advance_[scale];
    const TensorView from = advance.input("state");
    backend.copy_on_device(from.data, samples.states[before].data(), from.bytes());
    const TensorView keys = advance.input("keys");
    backend.copy_on_device(keys.data, samples.keys.data(), keys.bytes());
    write_number(advance.input("time"), time);
    advance.run_forward({.seed = seed});

    Step& step = steps_[scale];
    if (!step.packed) step.program.parameters_changed();
    step.packed = true;
    write_number(step.program.input("time"), time);
    const TensorView noisy = step.program.input("noisy");
    const bool blends = graphs_.blends(scale), over_time = graphs_.blends_over_time();
    // The state that is blended in counts nothing where it does not exist yet.
    if (blends) {
        const bool begins = over_time ? pass < static_cast<std::int64_t>(graphs_.scales.size()) : pass == 0;
        write_number(step.program.input("begins"), begins ? 1.0f : 0.0f);
    }
    for (std::int64_t patch = 0; patch < graphs_.scales[scale].patches(); ++patch) {
        backend.copy_on_device(noisy.data, part(advance.output("noisy").data, patch, noisy.bytes()),
                               noisy.bytes());
        for (const Feed& feed : step.feeds) {
            backend.copy_on_device(feed.slot.data,
                                   part(samples.constants[feed.constant].data(), patch, feed.slot.bytes()),
                                   feed.slot.bytes());
        }
        if (blends) {
            const TensorView previous = step.program.input("previous");
            std::byte* const earlier =
                over_time ? samples.averages[scale].data() : advance.output("resized").data;
            backend.copy_on_device(previous.data, part(earlier, patch, previous.bytes()), previous.bytes());
        }
        run(step.program, patch);
        keep_patch(samples, scale, patch, step.program.output("state"));
    }
    if (!join_[scale]) return;
    const TensorView patches = join_[scale]->input("patches");
    backend.copy_on_device(patches.data, samples.patches[scale].data(), patches.bytes());
    join_[scale]->run_forward({.seed = seed});
    const TensorView joined = join_[scale]->output("state");
    backend.copy_on_device(samples.states[scale].data(), joined.data, joined.bytes());
}

void Recursion::keep_patch(Samples& samples, std::size_t scale, std::int64_t patch, const TensorView& state) {
    device::Backend& backend = machine_.backend;
    std::byte* const to = join_[scale] ? samples.patches[scale].data() : samples.states[scale].data();
    backend.copy_on_device(part(to, patch, state.bytes()), state.data, state.bytes());
    if (graphs_.blends(scale) && graphs_.blends_over_time()) {
        backend.copy_on_device(part(samples.averages[scale].data(), patch, state.bytes()), state.data,
                               state.bytes());
    }
}

TensorView Recursion::state(std::int64_t m) const {
    const Samples& samples = samples_[static_cast<std::size_t>(m)];
    return {samples.states.back().data(), graphs_.state(graphs_.scales.size() - 1)};
}

void Recursion::parameters_changed() {
    for (Step& step : steps_) step.packed = false;
}

std::vector<Part> Recursion::parts() {
    const auto micro_batches = static_cast<std::int64_t>(samples_.size());
    const std::int64_t timesteps = micro_batches * nets::timesteps_of(design_.model.diffusion);
    std::vector<Part> parts{{"prepare", &prepare_, micro_batches}, {"begin", &begin_, micro_batches}};
    for (std::size_t l = 0; l < steps_.size(); ++l) {
        parts.push_back({nets::scaled("advance", l), &advance_[l], timesteps});
        parts.push_back(
            {nets::scaled("step", l), &steps_[l].program, timesteps * graphs_.scales[l].patches()});
        if (join_[l]) parts.push_back({nets::scaled("join", l), &*join_[l], timesteps});
    }
    return parts;
}

std::size_t Recursion::bytes() const {
    std::size_t bytes = sample_bytes_ + prepare_.plan().bytes() + begin_.plan().bytes();
    for (std::size_t l = 0; l < steps_.size(); ++l) {
        bytes += advance_[l].plan().bytes() + steps_[l].program.plan().bytes();
        if (join_[l]) bytes += join_[l]->plan().bytes();
    }
    return bytes;
}

}  // namespace terrane::recipe
