#pragma once

#include <optional>

#include "cpu/dnnl_layer_pass.hpp"

namespace terrane::cpu::onednn {

/// The weights' gradient of a convolution or linear layer as one product of matrices, dy^T [channels out,
/// pixels] times the windows of x [pixels, kernel * kernel * channels in]. The result is the plain gradient:
/// nothing has to be unpacked, and it can be added to what is there while it is written. For 1x1 kernels the
/// windows are x itself; others are gathered into the workspace first.
class WeightGradientProduct {
  public:
    /// Empty where the library's own backward pass is faster (maps much wider than a kernel) or the layer is
    /// of another kind.
    static std::optional<WeightGradientProduct> choose(const Layer& layer);

    const std::string& implementation() const { return implementation_; }
    std::size_t workspace_bytes() const { return workspace_; }

    /// Gradients of plain weights and of the bias; either may be null.
    void run(const std::byte* source, const std::byte* destination, std::byte* weights,
             device::GradientWrite weights_write, std::byte* bias, device::GradientWrite bias_write,
             std::byte* workspace);

  private:
    WeightGradientProduct(const Layer& layer, const Described& overwrite, const Described& accumulate);

    void gather_windows(const std::byte* source, std::byte* windows) const;

    Layer layer_;
    std::int64_t rows_ = 0;     ///< output pixels
    std::int64_t columns_ = 0;  ///< weights per output channel
    bool gathers_ = false;
    std::string implementation_;
    Primitive overwrite_, accumulate_;
    std::size_t workspace_ = 0;
    std::size_t scratchpad_offset_ = 0;
};

}  // namespace terrane::cpu::onednn
