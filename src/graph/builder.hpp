#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.hpp"

namespace terrane::graph {

/// f32 [1]: what gradients are multiplied by in f16 graphs.
inline constexpr const char* loss_scale_state = "loss.scale";

/// Writes a network down op by op. Names are dotted paths: a Scope prefixes everything declared while it
/// lives.
///
///     GraphBuilder build(Mode::training, DType::bf16);
///     ValueId x = build.input("optical", {DType::bf16, {8, 128, 128, 4}});
///     auto scope = build.scope("stem");
///     x = build.convolution("conv", x, 64, {.kernel = 7, .stride = 2, .padding = 3});
class GraphBuilder {
  public:
    /// `compute` is the type of activations: f32, bf16 or f16 (f64 in tests). Parameters stay f32 (f64 for
    /// f64). In f16 training graphs gradients are scaled between the network and its losses
    /// (ops::ScaleGradient) by the state `loss_scale_state`, 1 at first.
    GraphBuilder(device::Mode mode, DType compute);

    device::Mode mode() const { return graph_.mode; }
    DType compute() const { return compute_; }
    const Shape& shape_of(ValueId id) const { return graph_.value(id).spec.shape; }

    /// Prefixes names with "name." until the returned object is destroyed.
    class Scope {
      public:
        enum class Kind { plain, block };
        Scope(GraphBuilder& builder, std::string_view name, Kind kind = Kind::plain);
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

      private:
        GraphBuilder& builder_;
        std::size_t length_before_;
        bool opens_block_;
    };
    [[nodiscard]] Scope scope(std::string_view name) { return Scope(*this, name); }
    /// A scope whose nodes form a block: with train.recompute = "blocks" what is read inside it alone is
    /// forgotten after the forward pass and computed again before the backward pass (graph/recompute.hpp).
    /// Blocks within a block belong to the outer one.
    [[nodiscard]] Scope block(std::string_view name) { return Scope(*this, name, Scope::Kind::block); }
    /// The name with the prefixes of the scopes that are open.
    std::string full_name(std::string_view name) const;

    ValueId input(std::string name, const TensorSpec& spec);
    ValueId parameter(std::string_view name, const Shape& shape, const Initializer& initializer);
    ValueId state(std::string_view name, const TensorSpec& spec, double initial, Saved saved);
    /// Parameters declared from now on get gradients or not.
    void set_trainable(Trainable trainable) { trainable_ = trainable; }

    /// Appends any op; returns its first output. The shape rule is applied and checked here.
    ValueId append(std::string_view name, const ops::Op& op, const std::vector<ValueId>& inputs);

    struct ConvolutionOptions {
        std::int64_t kernel = 1;
        std::int64_t stride = 1;
        std::int64_t padding = 0;
        std::int64_t dilation = 1;
        std::int64_t groups = 1;
        bool bias = false;
        Initializer initializer = KaimingFanOut{};
    };
    /// Declares name.weight [channels, kernel, kernel, C / groups] (and name.bias) and convolves.
    ValueId convolution(std::string_view name, ValueId x, std::int64_t channels,
                        const ConvolutionOptions& options);

    /// Marks a value to be kept readable after each run under `name`.
    void output(std::string name, ValueId value);
    /// Marks the output of a loss op as something to minimise.
    void loss(ValueId value);

    /// The finished graph; the builder is empty afterwards.
    Graph finish();

  private:
    ValueId add_value(Value value);
    ValueId append_node(std::string_view name, const ops::Op& op, const std::vector<ValueId>& inputs);
    ValueId scaled_for_losses(ValueId value);

    Graph graph_;
    std::map<int, ValueId> scaled_;  ///< what losses read in place of a value, by its index
    DType compute_;
    std::string prefix_;
    Trainable trainable_ = Trainable::yes;
    int block_ = -1;
    int blocks_ = 0;
};

}  // namespace terrane::graph
