#pragma once

#include "ops/common.hpp"

namespace terrane::ops {

/// What a height map tells about the geometry of its positions: the constant guidance of CADEF's keys.
/// Inputs: height [N,H,W,1] and, optionally, the whole map [M,h,w,1] whose range counts (sample n of the
/// heights belongs to map n % M, as ops::Patches orders them); without it the heights' own. Output
/// [N,floor(H/shrink),floor(W/shrink),67]:
///   0..63  positional code: x, y in linspace(-1, 1) over columns and rows, w_k = 10000^(-k/16), k = 0..15:
///          sin(x w_k), cos(x w_k), sin(y w_k), cos(y w_k)
///   64     the height, (h - min) / (max - min + 1e-6) over the range's map, averaged over shrink x shrink
///   65, 66 its Sobel gradients (cross-correlation, border as stated):
///          rows of gx: (1,0,-1), (2,0,-2), (1,0,-1); of gy: (1,2,1), (0,0,0), (-1,-2,-1)
/// No gradient: heights are data.
struct HeightEncoding {
    enum class Border { zero, replicate };
    std::int64_t shrink = 1;
    Border border = Border::zero;

    static constexpr std::int64_t position_channels = 64;
    static constexpr std::string_view name = "height_encoding";
    std::vector<TensorSpec> outputs(std::span<const TensorSpec> inputs) const;
    Cost cost(std::span<const TensorSpec> inputs) const;
    BackwardNeeds backward_needs() const;
};

}  // namespace terrane::ops
