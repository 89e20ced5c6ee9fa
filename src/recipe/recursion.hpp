#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nets/diffusion_graphs.hpp"
#include "recipe/recipe.hpp"

namespace terrane::recipe {

/// The graphs of a design; they refer to it.
nets::DiffusionGraphs diffusion_graphs(const Design& design);

/// The programs and the memory of recursive multiscale diffusion: what is constant over the passes and the
/// state of every micro-batch. All maps stay on the device.
class Recursion {
  public:
    /// `micro_batches`: how many go through the passes side by side.
    Recursion(const Design& design, const Machine& machine, std::int64_t micro_batches);

    /// Slots of the next micro-batch.
    TensorView input(const std::string& name) const { return prepare_.input(name); }
    std::int64_t passes() const { return static_cast<std::int64_t>(times_.size()); }
    std::int64_t patches(std::int64_t pass) const { return graphs_.scales[scale_of(pass)].patches(); }
    std::int64_t most_patches() const;  ///< of any pass
    const nets::DiffusionGraphs& graphs() const { return graphs_; }
    std::int64_t batch() const { return graphs_.inputs.batch; }

    /// Takes what the slots hold as micro-batch m and begins its state anew. `seed` and `keys` as of
    /// Inference.
    void take(std::int64_t m, std::uint64_t seed, std::span<const std::int64_t> keys);
    /// Begins the state of a taken micro-batch anew, with other draws.
    void begin(std::int64_t m, std::uint64_t seed);
    /// One pass of a micro-batch: its state grows to the pass's scale, gets noise, and goes patch by patch
    /// through the network. `run` is to run the step program it is given (forward, or with gradients).
    using RunPatch = std::function<void(graph::Program&, std::int64_t patch)>;
    void pass(std::int64_t m, std::int64_t pass, std::uint64_t seed, const RunPatch& run);
    /// The state of a micro-batch: after the last pass [batch, height, width, classes].
    TensorView state(std::int64_t m) const;

    /// The network's weights are packed anew before the next run of each step program.
    void parameters_changed();
    /// All programs; one mini-batch runs the step programs once per micro-batch, timestep and patch.
    std::vector<Part> parts();
    std::size_t bytes() const;

  private:
    /// One micro-batch: copies of what prepare put out, and the state.
    struct Samples {
        device::Buffer keys;
        std::vector<device::Buffer> constants;  ///< in the order of prepare's outputs
        std::vector<device::Buffer> states;     ///< per scale: the map
        std::vector<device::Buffer> patches;    ///< per scale: its patches, if there are several
        std::vector<device::Buffer> averages;   ///< per scale: patches of the time before, for update "ema"
    };
    /// A slot of a step program and the constant that it shows a patch of.
    struct Feed {
        TensorView slot;
        std::size_t constant;
    };
    struct Step {
        graph::Program program;
        std::vector<Feed> feeds;
        bool packed = false;
    };

    std::size_t scale_of(std::int64_t pass) const {
        return static_cast<std::size_t>(pass) % graphs_.scales.size();
    }
    graph::Program program(graph::Graph graph, const graph::PlanOptions& options = {}) const;
    void write_number(const TensorView& slot, float value);
    void keep_patch(Samples& samples, std::size_t scale, std::int64_t patch, const TensorView& state);

    Design design_;
    Machine machine_;
    nets::DiffusionGraphs graphs_;
    std::vector<float> times_;
    graph::Program prepare_, begin_;
    std::deque<graph::Program> advance_;
    std::deque<std::optional<graph::Program>> join_;
    std::deque<Step> steps_;
    std::deque<Samples> samples_;
    std::size_t sample_bytes_ = 0;
};

}  // namespace terrane::recipe
