#include "cpu/dnnl_layer_pass.hpp"

#include "device/buffer.hpp"

namespace terrane::cpu::onednn {

namespace {

using dnnl::memory;

std::size_t claim(std::size_t& workspace, std::size_t bytes) {
    const std::size_t offset = workspace;
    workspace += device::aligned(bytes);
    return offset;
}

/// Measured with oneDNN 2.6.3: on maps of a few pixels the f32 kernel that is first in the library's list
/// reads the weights over and over (512 -> 512 at 4x4: 8.9 ms against 3.3 ms with the second).
bool is_slow_for(const Layer& layer, const Described& described) {
    return layer.kind == LayerKind::convolution && layer.activation_type == memory::data_type::f32 &&
           layer.destination[2] * layer.destination[3] <= 16 &&
           described.implementation.find("brgconv:") == 0;
}

}  // namespace

Operand::Operand(const Desc& outside, const Desc& inside, Direction direction, std::size_t& workspace)
    : direction_(direction) {
    if (same_layout(outside, inside)) return;
    if (direction == Direction::read) {
        copy_.emplace(outside, inside);
    } else {
        copy_.emplace(inside, outside);
    }
    offset_ = claim(workspace, inside.get_size());
}

std::byte* Operand::enter(const std::byte* outside, std::byte* workspace) {
    if (!copy_) return const_cast<std::byte*>(outside);
    if (direction_ == Direction::read) {
        copy_->set(DNNL_ARG_FROM, outside);
        copy_->set(DNNL_ARG_TO, workspace + offset_);
        copy_->run();
    }
    return workspace + offset_;
}

void Operand::leave(std::byte* outside, std::byte* workspace) {
    if (!copy_) return;
    copy_->set(DNNL_ARG_FROM, workspace + offset_);
    copy_->set(DNNL_ARG_TO, outside);
    copy_->run();
}

std::variant<LayerPass, Refusal> LayerPass::choose(const Layer& layer, Pass pass) {
    using type = memory::data_type;
    using tag = memory::format_tag;
    std::string refused;
    for (const type compute : {layer.activation_type, type::f32}) {
        for (const tag layout : {layer.activation_tag, tag::any}) {
            LayerProblem problem;
            problem.kind = layer.kind;
            problem.pass = pass;
            problem.source = Desc(layer.source, compute, layout);
            problem.destination = Desc(layer.destination, compute, layout);
            problem.weights =
                Desc(layer.weights, pass == Pass::backward_weights ? type::f32 : compute, tag::any);
            if (layer.has_bias && pass != Pass::backward_data) {
                problem.bias = Desc({layer.destination[1]}, type::f32, tag::x);
            }
            problem.strides = layer.strides;
            problem.dilation = layer.dilation;
            problem.padding_begin = layer.padding_begin;
            problem.padding_end = layer.padding_end;
            Described described = describe(problem);
            if (is_slow_for(layer, described)) {
                problem.take_second = true;
                const Described second = describe(problem);
                if (second && !second.is_reference()) described = second;
            }
            if (described && !described.is_reference()) return LayerPass(layer, pass, described);
            refused += fmt::format("{}{} {}", refused.empty() ? "" : ", ",
                                   described ? described.implementation : std::string("nothing"),
                                   layout == tag::any ? "in any layout" : "channels last");
        }
        if (layer.activation_type == type::f32) break;
        if (compute != type::f32) refused += "; in f32";
    }
    return Refusal{fmt::format("oneDNN {} on {} offers {}", version(), instruction_set(), refused)};
}

LayerPass::LayerPass(const Layer& layer, Pass pass, const Described& described)
    : implementation_(described.implementation),
      weights_(described.weights),
      primitive_(described.primitive) {
    const Desc source(layer.source, layer.activation_type, layer.activation_tag);
    const Desc destination(layer.destination, layer.activation_type, layer.activation_tag);
    const bool makes_source = pass == Pass::backward_data;
    const bool makes_destination = pass == Pass::inference || pass == Pass::forward;
    source_.emplace(source, described.source,
                    makes_source ? Operand::Direction::written : Operand::Direction::read, workspace_);
    destination_.emplace(destination, described.destination,
                         makes_destination ? Operand::Direction::written : Operand::Direction::read,
                         workspace_);
    if (source_->copied() || destination_->copied()) implementation_ += "+reorder";
    scratchpad_offset_ = claim(workspace_, primitive_.scratchpad_bytes());

    switch (pass) {
        case Pass::inference:
        case Pass::forward:
            primitive_.attach(DNNL_ARG_SRC, described.source);
            primitive_.attach(DNNL_ARG_WEIGHTS, described.weights);
            primitive_.attach(DNNL_ARG_DST, described.destination);
            if (layer.has_bias) primitive_.attach(DNNL_ARG_BIAS, described.bias);
            return;
        case Pass::backward_data:
            primitive_.attach(DNNL_ARG_DIFF_DST, described.destination);
            primitive_.attach(DNNL_ARG_WEIGHTS, described.weights);
            primitive_.attach(DNNL_ARG_DIFF_SRC, described.source);
            return;
        case Pass::backward_weights:
            break;
    }
    primitive_.attach(DNNL_ARG_SRC, described.source);
    primitive_.attach(DNNL_ARG_DIFF_DST, described.destination);
    primitive_.attach(DNNL_ARG_DIFF_WEIGHTS, described.weights);
    gradient_is_plain_ = same_layout(described.weights, layer.plain_weights());
    unpack_.emplace(described.weights, layer.plain_weights());
    unpack_and_add_.emplace(described.weights, layer.plain_weights(), Write::accumulate);
    packed_gradient_offset_ = claim(workspace_, described.weights.get_size());
    if (layer.has_bias) {
        primitive_.attach(DNNL_ARG_DIFF_BIAS, described.bias);
        bias_elements_ = layer.output_channels();
        bias_gradient_offset_ = claim(workspace_, bias_elements_ * sizeof(float));
    }
}

void LayerPass::run_forward(const std::byte* source, const std::byte* packed, const std::byte* bias,
                            std::byte* destination, std::byte* workspace) {
    primitive_.set(DNNL_ARG_SRC, source_->enter(source, workspace));
    primitive_.set(DNNL_ARG_WEIGHTS, packed);
    if (bias != nullptr) primitive_.set(DNNL_ARG_BIAS, bias);
    primitive_.set(DNNL_ARG_DST, destination_->enter(destination, workspace));
    primitive_.set(DNNL_ARG_SCRATCHPAD, workspace + scratchpad_offset_);
    primitive_.run();
    destination_->leave(destination, workspace);
}

void LayerPass::run_backward_data(const std::byte* destination, const std::byte* packed, std::byte* source,
                                  std::byte* workspace) {
    primitive_.set(DNNL_ARG_DIFF_DST, destination_->enter(destination, workspace));
    primitive_.set(DNNL_ARG_WEIGHTS, packed);
    primitive_.set(DNNL_ARG_DIFF_SRC, source_->enter(source, workspace));
    primitive_.set(DNNL_ARG_SCRATCHPAD, workspace + scratchpad_offset_);
    primitive_.run();
    source_->leave(source, workspace);
}

void LayerPass::run_backward_weights(const std::byte* source, const std::byte* destination,
                                     std::byte* weights, device::GradientWrite weights_write, std::byte* bias,
                                     device::GradientWrite bias_write, std::byte* workspace) {
    using device::GradientWrite;
    const bool direct = gradient_is_plain_ && weights != nullptr && weights_write == GradientWrite::overwrite;
    std::byte* const packed = direct ? weights : workspace + packed_gradient_offset_;
    const bool bias_direct = bias != nullptr && bias_write == GradientWrite::overwrite;
    std::byte* const bias_gradient = bias_direct ? bias : workspace + bias_gradient_offset_;

    primitive_.set(DNNL_ARG_SRC, source_->enter(source, workspace));
    primitive_.set(DNNL_ARG_DIFF_DST, destination_->enter(destination, workspace));
    primitive_.set(DNNL_ARG_DIFF_WEIGHTS, packed);
    if (bias_elements_ > 0) primitive_.set(DNNL_ARG_DIFF_BIAS, bias_gradient);
    primitive_.set(DNNL_ARG_SCRATCHPAD, workspace + scratchpad_offset_);
    primitive_.run();

    if (weights != nullptr && !direct) {
        Primitive& unpack = weights_write == GradientWrite::overwrite ? *unpack_ : *unpack_and_add_;
        unpack.set(DNNL_ARG_FROM, packed);
        unpack.set(DNNL_ARG_TO, weights);
        unpack.run();
    }
    if (bias != nullptr && !bias_direct) {
        const auto* terms = reinterpret_cast<const float*>(bias_gradient);
        auto* sums = reinterpret_cast<float*>(bias);
        for (std::size_t i = 0; i < bias_elements_; ++i) sums[i] += terms[i];
    }
}

}  // namespace terrane::cpu::onednn
