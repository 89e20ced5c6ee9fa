#include "cpu/dnnl_mirrored.hpp"

namespace terrane::cpu::onednn {

using dnnl::memory;

std::optional<MirroredConvolution> MirroredConvolution::choose(const Layer& layer) {
    if (layer.kind != LayerKind::convolution || layer.weights.size() != 4 || layer.strides[0] != 1 ||
        layer.activation_type != memory::data_type::bf16) {
        return std::nullopt;
    }
    const std::int64_t out = layer.weights[0], in = layer.weights[1], kernel = layer.weights[2];
    const std::int64_t padding = (layer.dilation[0] + 1) * (kernel - 1) - layer.padding_begin[0];
    // Whole blocks of channels only: then the packed weights hold no padding that would have to stay zero.
    if (kernel == 1 || padding < 0 || out % 64 != 0 || in % 64 != 0) return std::nullopt;

    Layer mirrored = layer;
    mirrored.source = layer.destination;
    mirrored.destination = layer.source;
    mirrored.weights = {in, out, kernel, kernel};
    mirrored.has_bias = false;
    mirrored.padding_begin = mirrored.padding_end = {padding, padding};
    auto choice = LayerPass::choose(mirrored, Pass::inference);
    auto* pass = std::get_if<LayerPass>(&choice);
    if (pass == nullptr || pass->implementation().find("brgconv:") != 0 ||
        pass->implementation().find("reorder") != std::string::npos) {
        return std::nullopt;
    }
    std::vector<Primitive> taps;
    const Desc tap({in, out, 1, 1}, memory::data_type::f32, memory::dims{1, kernel * kernel * in, 1, 1});
    for (std::int64_t r = 0; r < kernel; ++r) {
        for (std::int64_t s = 0; s < kernel; ++s) {
            const Desc place = pass->packed_weights().submemory_desc(
                {in, out, 1, 1}, {0, 0, kernel - 1 - r, kernel - 1 - s}, true);
            if (place == Desc()) return std::nullopt;
            taps.emplace_back(tap, place);
        }
    }
    return MirroredConvolution(layer, std::move(*pass), std::move(taps));
}

MirroredConvolution::MirroredConvolution(const Layer& layer, LayerPass&& pass, std::vector<Primitive>&& taps)
    : pass_(std::move(pass)),
      taps_(std::move(taps)),
      tap_bytes_(static_cast<std::size_t>(layer.weights[1]) * sizeof(float)) {}

void MirroredConvolution::pack(const std::byte* plain_weights, std::byte* packed) {
    for (std::size_t i = 0; i < taps_.size(); ++i) {
        taps_[i].set(DNNL_ARG_FROM, plain_weights + i * tap_bytes_);
        taps_[i].set(DNNL_ARG_TO, packed);
        taps_[i].run();
    }
}

void MirroredConvolution::run(const std::byte* destination_gradient, const std::byte* packed,
                              std::byte* source_gradient, std::byte* workspace) {
    pass_.run_forward(destination_gradient, packed, nullptr, source_gradient, workspace);
}

}  // namespace terrane::cpu::onednn
