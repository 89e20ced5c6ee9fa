#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// Labels at another resolution as class shares. Input: labels u8 [N,H,W]. Output f32
/// [N,height,width,classes]: the one-hot labels resized bilinearly (half_pixel). A label that is no class is
/// void. With `masked` a pixel whose footprint touches a void label becomes the zero vector as a whole, by
/// which losses know it; with `zero_vector` void labels merely add nothing. No gradient.
struct SoftTargets {
    std::int64_t height = 1;
    std::int64_t width = 1;
    std::int64_t classes = 2;
    VoidPixels void_pixels = VoidPixels::masked;
    DType dtype = DType::f32;

    static constexpr std::string_view name = "soft_targets";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops
