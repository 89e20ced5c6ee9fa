#include <array>

#include "cpu/dnnl_layer_pass.hpp"
#include "cpu/dnnl_mirrored.hpp"
#include "cpu/dnnl_weight_gradient.hpp"
#include "cpu/plans.hpp"
#include "device/buffer.hpp"

/// Convolution, transposed convolution and linear: the same three passes around packed weights.
namespace terrane::cpu {

namespace {

using dnnl::memory;
using onednn::Layer;
using onednn::LayerKind;
using onednn::LayerPass;
using onednn::MirroredConvolution;
using onednn::Pass;
using onednn::Primitive;
using onednn::WeightGradientProduct;

/// A layout of the packed weights, where it lies in the plan's persistent bytes, and how it is filled.
struct Packed {
    std::size_t offset = 0;
    std::optional<Primitive> pack;
};

class LayerPlan final : public device::OpPlan {
  public:
    static Offer make(const Layer& layer, const device::PlanRequest& request) {
        const auto wanted = [&](std::size_t input) {
            return request.mode == device::Mode::training && input < request.gradient_wanted.size() &&
                   request.gradient_wanted[input];
        };
        const bool trained = wanted(0) || wanted(1) || wanted(2);
        auto plan = std::unique_ptr<LayerPlan>(new LayerPlan);
        const auto choose = [&](Pass pass, std::optional<LayerPass>& into) -> std::string {
            auto choice = LayerPass::choose(layer, pass);
            if (auto* refusal = std::get_if<Refusal>(&choice)) return refusal->reason;
            into.emplace(std::move(std::get<LayerPass>(choice)));
            return {};
        };
        if (auto reason = choose(trained ? Pass::forward : Pass::inference, plan->forward_);
            !reason.empty()) {
            return Refusal{"forward: " + reason};
        }
        if (wanted(0)) plan->mirrored_ = MirroredConvolution::choose(layer);
        if (wanted(0) && !plan->mirrored_) {
            if (auto reason = choose(Pass::backward_data, plan->backward_data_); !reason.empty()) {
                return Refusal{"backward by the data: " + reason};
            }
        }
        if (wanted(1) || wanted(2)) {
            plan->gradient_product_ = WeightGradientProduct::choose(layer);
        }
        if ((wanted(1) || wanted(2)) && !plan->gradient_product_) {
            if (auto reason = choose(Pass::backward_weights, plan->backward_weights_); !reason.empty()) {
                return Refusal{"backward by the weights: " + reason};
            }
        }
        plan->prepare(layer);
        return plan;
    }

    std::string implementation() const override {
        std::string text = "dnnl:" + forward_->implementation();
        if (mirrored_) text += " | data " + mirrored_->implementation();
        if (backward_data_) text += " | data " + backward_data_->implementation();
        if (backward_weights_) text += " | weights " + backward_weights_->implementation();
        if (gradient_product_) text += " | weights " + gradient_product_->implementation();
        return text;
    }

    void on_parameters_changed(std::span<const TensorView> inputs, std::byte* persistent) override {
        for (std::optional<Packed>* packed : {&packed_forward_, &packed_backward_}) {
            if (!*packed) continue;
            Primitive& pack = *(*packed)->pack;
            pack.set(DNNL_ARG_FROM, inputs[1].data);
            pack.set(DNNL_ARG_TO, persistent + (*packed)->offset);
            pack.run();
        }
        if (mirrored_) mirrored_->pack(inputs[1].data, persistent + mirrored_offset_);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const std::byte* bias = arguments.inputs.size() > 2 ? arguments.inputs[2].data : nullptr;
        forward_->run_forward(arguments.inputs[0].data, arguments.persistent + packed_forward_->offset, bias,
                              arguments.outputs[0].data, arguments.workspace);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const std::byte* dy = arguments.output_gradients[0][0].data;
        const device::GradientTarget& dx = arguments.input_gradients[0];
        const device::GradientTarget& dw = arguments.input_gradients[1];
        const device::GradientTarget db =
            arguments.input_gradients.size() > 2 ? arguments.input_gradients[2] : device::GradientTarget{};
        // The weights' gradient first: it may be summed over the ranks while dx is computed by this op's
        // predecessors, and x is no longer needed afterwards.
        if ((dw.view || db.view) && gradient_product_) {
            gradient_product_->run(arguments.inputs[0].data, dy, dw.view.data, dw.write, db.view.data,
                                   db.write, arguments.workspace);
        } else if (dw.view || db.view) {
            backward_weights_->run_backward_weights(arguments.inputs[0].data, dy, dw.view.data, dw.write,
                                                    db.view.data, db.write, arguments.workspace);
        }
        if (dx.view && mirrored_) {
            mirrored_->run(dy, arguments.persistent + mirrored_offset_, dx.view.data, arguments.workspace);
        } else if (dx.view) {
            const std::size_t offset = packed_backward_ ? packed_backward_->offset : packed_forward_->offset;
            backward_data_->run_backward_data(dy, arguments.persistent + offset, dx.view.data,
                                              arguments.workspace);
        }
    }

  private:
    LayerPlan() = default;

    void prepare(const Layer& layer) {
        const auto add = [&](const onednn::Desc& layout, std::optional<Packed>& packed) {
            packed.emplace();
            packed->offset = requirements_.persistent;
            packed->pack.emplace(layer.plain_weights(), layout);
            requirements_.persistent += device::aligned(layout.get_size());
        };
        add(forward_->packed_weights(), packed_forward_);
        if (backward_data_ &&
            !onednn::same_layout(forward_->packed_weights(), backward_data_->packed_weights())) {
            add(backward_data_->packed_weights(), packed_backward_);
        }
        if (mirrored_) {
            mirrored_offset_ = requirements_.persistent;
            requirements_.persistent += device::aligned(mirrored_->packed_bytes());
            requirements_.backward_workspace = mirrored_->workspace_bytes();
        }
        requirements_.forward_workspace = forward_->workspace_bytes();
        if (gradient_product_) {
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace, gradient_product_->workspace_bytes());
        }
        for (const auto* pass : {&backward_data_, &backward_weights_}) {
            if (!*pass) continue;
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace, (*pass)->workspace_bytes());
        }
    }

    std::optional<LayerPass> forward_, backward_data_, backward_weights_;
    std::optional<MirroredConvolution> mirrored_;  // in place of backward_data_
    std::size_t mirrored_offset_ = 0;
    std::optional<WeightGradientProduct> gradient_product_;  // in place of backward_weights_
    std::optional<Packed> packed_forward_, packed_backward_;
};

std::optional<memory::data_type> activation_type(DType dtype) {
    if (dtype == DType::f32) return memory::data_type::f32;
    if (dtype == DType::bf16) return memory::data_type::bf16;
    return std::nullopt;
}

/// Fills in what all three layers have in common, or says why not.
std::optional<Refusal> describe_types(const ops::OpDescriptor& descriptor, Layer& layer) {
    const auto type = activation_type(descriptor.inputs[0].dtype);
    if (!type) {
        return Refusal{
            fmt::format("activations are f32 or bf16, not {}", name_of(descriptor.inputs[0].dtype))};
    }
    for (std::size_t i = 1; i < descriptor.inputs.size(); ++i) {
        if (descriptor.inputs[i].dtype != DType::f32) {
            return Refusal{fmt::format("parameters are f32, not {}", name_of(descriptor.inputs[i].dtype))};
        }
    }
    layer.activation_type = *type;
    layer.has_bias = descriptor.inputs.size() > 2;
    return std::nullopt;
}

memory::dims nchw(const Shape& shape) {
    return {shape.batch(), shape.channels(), shape.height(), shape.width()};
}

Offer make_convolution(const device::PlanRequest& request) {
    const auto& op = std::get<ops::Convolution>(request.descriptor.op);
    const Shape& x = request.descriptor.inputs[0].shape;
    const Shape& w = request.descriptor.inputs[1].shape;
    const Shape& y = request.descriptor.outputs[0].shape;
    Layer layer;
    if (auto refusal = describe_types(request.descriptor, layer)) return *refusal;
    layer.kind = LayerKind::convolution;
    layer.source = nchw(x);
    layer.destination = nchw(y);
    if (op.groups == 1) {
        layer.weights = {w[0], w[3], w[1], w[2]};
        layer.weights_tag = memory::format_tag::ohwi;
    } else {
        layer.weights = {op.groups, w[0] / op.groups, w[3], w[1], w[2]};
        layer.weights_tag = memory::format_tag::gohwi;
    }
    layer.strides = {op.stride, op.stride};
    layer.dilation = {op.dilation - 1, op.dilation - 1};
    layer.padding_begin = {op.padding, op.padding};
    // What the last window reaches beyond the input; less than nothing where a stride leaves pixels over.
    const auto end = [&](std::int64_t in, std::int64_t out) {
        return (out - 1) * op.stride + op.dilation * (op.kernel - 1) + 1 - in - op.padding;
    };
    layer.padding_end = {end(x.height(), y.height()), end(x.width(), y.width())};
    return LayerPlan::make(layer, request);
}

Offer make_transposed_convolution(const device::PlanRequest& request) {
    const auto& op = std::get<ops::TransposedConvolution>(request.descriptor.op);
    const Shape& w = request.descriptor.inputs[1].shape;
    Layer layer;
    if (auto refusal = describe_types(request.descriptor, layer)) return *refusal;
    layer.kind = LayerKind::transposed_convolution;
    layer.source = nchw(request.descriptor.inputs[0].shape);
    layer.destination = nchw(request.descriptor.outputs[0].shape);
    layer.weights = {w[3], w[0], w[1], w[2]};
    layer.weights_tag = memory::format_tag::ihwo;
    layer.strides = {op.stride, op.stride};
    layer.dilation = {0, 0};
    layer.padding_begin = {op.padding, op.padding};
    layer.padding_end = {op.padding - op.output_padding, op.padding - op.output_padding};
    return LayerPlan::make(layer, request);
}

Offer make_linear(const device::PlanRequest& request) {
    const Shape& x = request.descriptor.inputs[0].shape;
    const Shape& w = request.descriptor.inputs[1].shape;
    Layer layer;
    if (auto refusal = describe_types(request.descriptor, layer)) return *refusal;
    const std::int64_t rows = x.elements() / x.channels();
    layer.kind = LayerKind::inner_product;
    layer.activation_tag = memory::format_tag::nc;
    layer.source = {rows, w[1]};
    layer.destination = {rows, w[0]};
    layer.weights = {w[0], w[1]};
    layer.weights_tag = memory::format_tag::oi;
    return LayerPlan::make(layer, request);
}

constexpr std::array convolution_candidates{Candidate{"dnnl", make_convolution}};
constexpr std::array transposed_convolution_candidates{Candidate{"dnnl", make_transposed_convolution}};
constexpr std::array linear_candidates{Candidate{"dnnl", make_linear}};

}  // namespace

std::span<const Candidate> candidates(const ops::Convolution&) {
    return convolution_candidates;
}
std::span<const Candidate> candidates(const ops::TransposedConvolution&) {
    return transposed_convolution_candidates;
}
std::span<const Candidate> candidates(const ops::Linear&) {
    return linear_candidates;
}

}  // namespace terrane::cpu
