#pragma once

#include <optional>
#include <string>
#include <variant>

#include "cpu/dnnl_primitives.hpp"
#include "cpu/plans.hpp"

namespace terrane::cpu::onednn {

/// What a layer with weights computes, in the layouts terrane keeps: channels-last activations of one type,
/// f32 weights in their plain order.
struct Layer {
    LayerKind kind = LayerKind::convolution;
    dnnl::memory::data_type activation_type = dnnl::memory::data_type::f32;
    dnnl::memory::dims source, weights, destination;
    dnnl::memory::format_tag activation_tag = dnnl::memory::format_tag::nhwc;
    dnnl::memory::format_tag weights_tag = dnnl::memory::format_tag::ohwi;
    bool has_bias = false;
    dnnl::memory::dims strides, dilation, padding_begin, padding_end;

    Desc plain_weights() const { return Desc(weights, dnnl::memory::data_type::f32, weights_tag); }
    std::size_t output_channels() const { return static_cast<std::size_t>(destination[1]); }
};

/// An operand as terrane stores it and as a primitive wants it: the same memory where the layouts agree,
/// otherwise a copy in the workspace.
class Operand {
  public:
    enum class Direction { read, written };

    /// Claims the copy's bytes at the end of the workspace.
    Operand(const Desc& outside, const Desc& inside, Direction direction, std::size_t& workspace);

    /// Before the primitive runs: where it shall find or put the operand.
    std::byte* enter(const std::byte* outside, std::byte* workspace);
    /// After it has run: a written operand is where it belongs.
    void leave(std::byte* outside, std::byte* workspace);
    bool copied() const { return copy_.has_value(); }

  private:
    Direction direction_;
    std::optional<Primitive> copy_;
    std::size_t offset_ = 0;
};

/// One pass of a layer, ready to run.
class LayerPass {
  public:
    /// The fastest way the library offers that is not its reference code: activations as they are; else in a
    /// layout of the library's choice; else the same in f32.
    static std::variant<LayerPass, Refusal> choose(const Layer& layer, Pass pass);

    const std::string& implementation() const { return implementation_; }
    std::size_t workspace_bytes() const { return workspace_; }
    /// The layout in which this pass reads weights (not for backward_weights, which writes plain ones).
    const Desc& packed_weights() const { return weights_; }

    /// inference, forward: destination = source (*) weights + bias.
    void run_forward(const std::byte* source, const std::byte* packed, const std::byte* bias,
                     std::byte* destination, std::byte* workspace);
    /// backward_data: source gradient from destination gradient.
    void run_backward_data(const std::byte* destination, const std::byte* packed, std::byte* source,
                           std::byte* workspace);
    /// backward_weights: gradients of plain weights and of the bias (null without one).
    void run_backward_weights(const std::byte* source, const std::byte* destination, std::byte* weights,
                              device::GradientWrite weights_write, std::byte* bias,
                              device::GradientWrite bias_write, std::byte* workspace);

  private:
    LayerPass(const Layer& layer, Pass pass, const Described& described);

    std::string implementation_;
    Desc weights_;
    std::size_t workspace_ = 0;
    std::optional<Operand> source_, destination_;
    Primitive primitive_;
    std::size_t scratchpad_offset_ = 0;
    // backward_weights only: from the library's layout to the plain one, and the bias gradient before it is
    // added to what is there.
    std::optional<Primitive> unpack_, unpack_and_add_;
    std::size_t packed_gradient_offset_ = 0;
    std::size_t bias_gradient_offset_ = 0;
    std::size_t bias_elements_ = 0;
    bool gradient_is_plain_ = false;
};

}  // namespace terrane::cpu::onednn
