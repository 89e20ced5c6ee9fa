#include "nets/setr_common.hpp"

#include <fmt/ranges.h>

#include <bit>

namespace terrane::nets {

void check_image(const config::Model& model, const NetworkInputs& inputs) {
    const config::VisionTransformer& vit = model.vit;
    const std::int64_t image = vit.image > 0 ? vit.image : inputs.height;
    if (inputs.height != image || inputs.width != image) {
        throw Error(
            ExitCode::config_invalid, 547,
            fmt::format("{}'s positional embedding is that of {} x {} pixels, but it is to see {} x {}.",
                        model.name, image, image, inputs.width, inputs.height),
            fmt::format(
                "Make grid.tile, augment.crop and predict.window {0}, or set model.vit.image = {1} and "
                "train it for that size.",
                image, inputs.height));
    }
    if (image % vit.patch != 0) {
        throw Error(ExitCode::config_invalid, 547,
                    fmt::format("{} x {} pixels can't be cut into patches of model.vit.patch = {}.", image,
                                image, vit.patch),
                    "Choose tile, crop and window as multiples of the patch.");
    }
    if (!std::has_single_bit(static_cast<std::uint64_t>(vit.patch))) {
        throw Error(ExitCode::config_invalid, 546,
                    fmt::format("model.vit.patch = {} is no power of two.", vit.patch),
                    "Use 8, 16 or 32: the decoder doubles its map until it has the image's size.");
    }
}

std::vector<std::int64_t> taps_of(const config::Model& model, std::vector<std::int64_t> usual) {
    const std::vector<std::int64_t>& taps = model.vit.taps.empty() ? usual : model.vit.taps;
    std::int64_t before = -1;
    for (const std::int64_t tap : taps) {
        if (tap > before && tap < model.vit.depth) {
            before = tap;
            continue;
        }
        throw Error(
            ExitCode::config_invalid, 546,
            fmt::format("{} can't take the outputs of blocks {} of a transformer of {} blocks.", model.name,
                        fmt::join(taps, ", "), model.vit.depth),
            "Give ascending numbers from 0 to depth - 1 in model.vit.taps, or a greater model.vit.depth.");
    }
    return taps;
}

}  // namespace terrane::nets
