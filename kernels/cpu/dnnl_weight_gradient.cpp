#include "cpu/dnnl_weight_gradient.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/element.hpp"
#include "cpu/isa.hpp"
#include "cpu/parallel.hpp"
#include "device/buffer.hpp"

namespace terrane::cpu::onednn {

namespace {

using dnnl::memory;

std::int64_t element_bytes(const Layer& layer) {
    return layer.activation_type == memory::data_type::bf16 ? 2 : 4;
}

std::int64_t rows_of(const Layer& layer) {
    if (layer.kind == LayerKind::inner_product) return layer.destination[0];
    return layer.destination[0] * layer.destination[2] * layer.destination[3];
}

std::int64_t columns_of(const Layer& layer) {
    std::int64_t columns = 1;
    for (std::size_t i = 1; i < layer.weights.size(); ++i) columns *= layer.weights[i];
    return columns;
}

bool windows_are_pixels(const Layer& layer) {
    if (layer.kind == LayerKind::inner_product) return true;
    return layer.weights[2] == 1 && layer.strides[0] == 1 && layer.padding_begin[0] == 0;
}

/// Measured with oneDNN 2.6.3 (ResNet shapes, one thread, AVX-512 and AMX): the library's backward pass works
/// row by row, and rows of a few pixels leave its tiles almost empty (512 -> 512 at 4x4: 4.6 ms against 0.9
/// ms in bf16, 6.3 against 3.7 in fp32); from rows of 16 pixels on gathering the windows costs more than it
/// saves.
bool product_is_faster(const Layer& layer) {
    if (layer.kind == LayerKind::inner_product) return true;
    const bool bf16 = layer.activation_type == memory::data_type::bf16;
    const std::int64_t width = layer.destination[3];
    if (layer.weights[2] == 1) return bf16 || rows_of(layer) < 1024;
    if (layer.strides[0] > 1 && bf16) return width <= 16;
    return width <= (bf16 ? 8 : 4);
}

/// sums[c] (+)= sum over rows of values[row][c], for `count` channels; every channel is added up in the order
/// of the rows, in double.
template <typename Element>
TERRANE_INLINE void add_columns(const Element* values, std::int64_t rows, std::int64_t stride,
                                std::int64_t count, bool accumulate, float* sums) {
    std::array<double, 64> totals{};
    for (std::int64_t row = 0; row < rows; ++row) {
        const Element* line = values + row * stride;
        for (std::int64_t c = 0; c < count; ++c) {
            totals[static_cast<std::size_t>(c)] += static_cast<double>(load(line + c));
        }
    }
    for (std::int64_t c = 0; c < count; ++c) {
        const auto total = static_cast<float>(totals[static_cast<std::size_t>(c)]);
        sums[c] = accumulate ? sums[c] + total : total;
    }
}

template <typename Element>
void sum_columns(const std::byte* values, std::int64_t rows, std::int64_t channels, bool accumulate,
                 std::byte* sums) {
    const auto* first = reinterpret_cast<const Element*>(values);
    auto* out = reinterpret_cast<float*>(sums);
    const std::int64_t bytes = rows * channels * static_cast<std::int64_t>(sizeof(Element));
    parallel_blocks((channels + 63) / 64, bytes, [&](std::int64_t block) {
        const std::int64_t begin = block * 64, count = std::min<std::int64_t>(64, channels - begin);
        vectorised([&] { add_columns(first + begin, rows, channels, count, accumulate, out + begin); });
    });
}

}  // namespace

std::optional<WeightGradientProduct> WeightGradientProduct::choose(const Layer& layer) {
    const bool plain_convolution = layer.kind == LayerKind::convolution && layer.weights.size() == 4;
    if (!plain_convolution && layer.kind != LayerKind::inner_product) return std::nullopt;
    if (!product_is_faster(layer)) return std::nullopt;
    const std::int64_t out = layer.weights[0], rows = rows_of(layer), columns = columns_of(layer);
    const Desc left({out, rows}, layer.activation_type, memory::dims{1, out});
    const Desc right({rows, columns}, layer.activation_type, memory::dims{columns, 1});
    const Desc result({out, columns}, memory::data_type::f32, memory::dims{columns, 1});
    const Described overwrite = describe_product(left, right, result, 1, Write::overwrite);
    const Described accumulate = describe_product(left, right, result, 1, Write::accumulate);
    if (!overwrite || !accumulate || overwrite.is_reference() || accumulate.is_reference())
        return std::nullopt;
    return WeightGradientProduct(layer, overwrite, accumulate);
}

WeightGradientProduct::WeightGradientProduct(const Layer& layer, const Described& overwrite,
                                             const Described& accumulate)
    : layer_(layer),
      rows_(rows_of(layer)),
      columns_(columns_of(layer)),
      gathers_(!windows_are_pixels(layer)),
      implementation_("product " + overwrite.implementation),
      overwrite_(overwrite.primitive),
      accumulate_(accumulate.primitive) {
    for (Primitive* product : {&overwrite_, &accumulate_}) {
        product->attach(DNNL_ARG_SRC, overwrite.source);
        product->attach(DNNL_ARG_WEIGHTS, overwrite.weights);
        product->attach(DNNL_ARG_DST, overwrite.destination);
    }
    if (gathers_)
        workspace_ = device::aligned(static_cast<std::size_t>(rows_ * columns_ * element_bytes(layer)));
    scratchpad_offset_ = workspace_;
    workspace_ += device::aligned(std::max(overwrite_.scratchpad_bytes(), accumulate_.scratchpad_bytes()));
}

void WeightGradientProduct::gather_windows(const std::byte* source, std::byte* windows) const {
    const std::int64_t channels = layer_.source[1], height = layer_.source[2], width = layer_.source[3];
    const std::int64_t out_height = layer_.destination[2], out_width = layer_.destination[3];
    const std::int64_t kernel = layer_.weights[2], stride = layer_.strides[0],
                       padding = layer_.padding_begin[0];
    const std::int64_t dilation = layer_.dilation[0] + 1;
    const std::int64_t pixel = channels * element_bytes(layer_);
    parallel_blocks(layer_.destination[0] * out_height, 2 * rows_ * columns_ * element_bytes(layer_),
                    [&](std::int64_t line) {
                        const std::int64_t n = line / out_height, p = line % out_height;
                        std::byte* target = windows + line * out_width * kernel * kernel * pixel;
                        for (std::int64_t q = 0; q < out_width; ++q) {
                            for (std::int64_t r = 0; r < kernel; ++r) {
                                const std::int64_t row = p * stride - padding + r * dilation;
                                for (std::int64_t s = 0; s < kernel; ++s, target += pixel) {
                                    const std::int64_t column = q * stride - padding + s * dilation;
                                    if (row < 0 || row >= height || column < 0 || column >= width) {
                                        std::memset(target, 0, static_cast<std::size_t>(pixel));
                                    } else {
                                        std::memcpy(target,
                                                    source + ((n * height + row) * width + column) * pixel,
                                                    static_cast<std::size_t>(pixel));
                                    }
                                }
                            }
                        }
                    });
}

void WeightGradientProduct::run(const std::byte* source, const std::byte* destination, std::byte* weights,
                                device::GradientWrite weights_write, std::byte* bias,
                                device::GradientWrite bias_write, std::byte* workspace) {
    using device::GradientWrite;
    if (weights != nullptr) {
        if (gathers_) gather_windows(source, workspace);
        Primitive& product = weights_write == GradientWrite::overwrite ? overwrite_ : accumulate_;
        product.set(DNNL_ARG_SRC, destination);
        product.set(DNNL_ARG_WEIGHTS, gathers_ ? workspace : source);
        product.set(DNNL_ARG_DST, weights);
        product.set(DNNL_ARG_SCRATCHPAD, workspace + scratchpad_offset_);
        product.run();
    }
    if (bias != nullptr) {
        const bool accumulate = bias_write == GradientWrite::accumulate;
        const std::int64_t channels = layer_.weights[0];
        if (layer_.activation_type == memory::data_type::bf16) {
            sum_columns<bfloat16>(destination, rows_, channels, accumulate, bias);
        } else {
            sum_columns<float>(destination, rows_, channels, accumulate, bias);
        }
    }
}

}  // namespace terrane::cpu::onednn
