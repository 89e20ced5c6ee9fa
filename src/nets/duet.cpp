#include "nets/duet.hpp"

#include <string>

#include "base/philox.hpp"
#include "nets/aspp.hpp"
#include "nets/resize.hpp"
#include "nets/resnet.hpp"

namespace terrane::nets {

namespace {

using graph::GraphBuilder;
using graph::ValueId;

constexpr int levels = 5;  // stem and four stages

/// Gated sum of all streams at one level, at the first stream's resolution.
ValueId fuse(GraphBuilder& build, const NetworkInputs& inputs, std::vector<ValueId> streams,
             ValueId presence) {
    const auto count = static_cast<std::int64_t>(streams.size());
    std::vector<ValueId> votes;
    for (std::size_t m = 0; m < streams.size(); ++m) {
        const std::string& name = inputs.modalities[m].name;
        streams[m] = resized_like(build, name + ".resize", streams[m], streams[0]);
        const ValueId vote =
            build.convolution(name + ".gate", streams[m], count,
                              {.kernel = 1, .bias = true, .initializer = graph::Normal{0.01}});
        const auto column = static_cast<std::int64_t>(m);
        const ValueId there = build.append(name + ".presence", ops::Slice{column, column + 1}, {presence});
        votes.push_back(build.append(name + ".vote", ops::Multiply{}, {vote, there}));
    }
    const ValueId gates = build.append("gates", ops::Add{}, votes);
    streams.push_back(gates);
    streams.push_back(presence);
    return build.append("sum", ops::GatedSum{}, streams);
}

std::vector<ValueId> encode(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                            const NetworkValues& values, NormKind norm) {
    const ResNetDesign design = resnet_from_name(model.encoder, model.encoder_width);
    std::vector<ResNetEncoder> encoders;
    for (const ModalityInput& modality : inputs.modalities) {
        encoders.emplace_back(design, norm,
                              layout_for_output_stride(design, modality.scale, model.output_stride));
    }
    std::vector<ValueId> streams = values.modalities;
    std::vector<ValueId> fused;
    for (int level = 0; level < levels; ++level) {
        for (std::size_t m = 0; m < streams.size(); ++m) {
            auto scope = build.scope("encoder." + inputs.modalities[m].name);
            streams[m] = level == 0 ? encoders[m].stem(build, streams[m])
                                    : encoders[m].stage(build, level, streams[m]);
        }
        if (streams.size() > 1) {
            auto scope = build.block("fusion" + std::to_string(level));
            streams[0] = fuse(build, inputs, streams, values.presence);
        }
        fused.push_back(streams[0]);
    }
    return fused;
}

/// Brings `x` to the skip's resolution and joins both by a 3x3 convolution.
ValueId refine(GraphBuilder& build, NormKind norm, ValueId x, ValueId skip, std::int64_t skip_channels,
               std::int64_t channels) {
    const ValueId projected =
        convolution_norm_relu(build, norm, "skip.conv", "skip.bn", skip, skip_channels, {.kernel = 1});
    const ValueId raised = resized_like(build, "raise", x, skip);
    const ValueId joined = build.append("join", ops::Concat{}, {raised, projected});
    return convolution_norm_relu(build, norm, "conv", "bn", joined, channels, {.kernel = 3, .padding = 1});
}

}  // namespace

NetworkHeads duet(GraphBuilder& build, const config::Model& model, const NetworkInputs& inputs,
                  const NetworkValues& values) {
    const NormKind norm = norm_from_name(model.norm);
    const std::vector<ValueId> fused = encode(build, model, inputs, values, norm);

    std::vector<std::int64_t> rates = model.aspp_rates;
    if (model.output_stride == 8) {
        for (std::int64_t& rate : rates) rate *= 2;
    }
    ValueId x;
    {
        auto scope = build.block("aspp");
        x = aspp(build, norm, fused[4], model.aspp_channels, rates);
    }
    {
        auto scope = build.block("decoder.stride4");
        x = refine(build, norm, x, fused[1], 48, model.decoder_channels);
    }
    if (model.decoder_stride == 2) {
        auto scope = build.block("decoder.stride2");
        x = refine(build, norm, x, fused[0], 32, model.decoder_channels / 2);
    }
    if (build.mode() == device::Mode::training && model.dropout > 0) {
        x = build.append("decoder.dropout",
                         ops::Dropout{.probability = model.dropout,
                                      .kind = ops::DropoutKind::channel,
                                      .stream = stream_of("decoder.dropout")},
                         {x});
    }
    const ValueId logits = build.convolution("classifier", x, inputs.classes,
                                             {.kernel = 1, .bias = true, .initializer = graph::Normal{0.01}});
    return {.main = {logits}, .auxiliary = {}};
}

}  // namespace terrane::nets
