// Compiled, never run: every formula is called from device code, so that none of them silently becomes one that
// only the host can use.
#include "formulas/activation.hpp"
#include "formulas/adaptive_pool.hpp"
#include "formulas/bilinear.hpp"
#include "formulas/class_loss.hpp"
#include "formulas/dropout.hpp"
#include "formulas/norm.hpp"
#include "formulas/sample.hpp"
#include "formulas/update.hpp"

using namespace terrane;
using namespace terrane::formulas;

template <ops::ActivationKind kind>
__device__ float activation_of(float x) {
    return activate<kind>(x) + activation_slope<kind>(x);
}

__global__ void pointwise(float* values) {
    using ops::ActivationKind;
    float& x = values[threadIdx.x];
    x = activation_of<ActivationKind::relu>(x) + activation_of<ActivationKind::gelu>(x) +
        activation_of<ActivationKind::silu>(x) + activation_of<ActivationKind::sigmoid>(x);
    x = dropout_keeps(1, 2, 3, 4, 5, threadIdx.x, 0.5) ? x : 0;
}

__global__ void maps(float* values) {
    const auto row = tap<float>(threadIdx.x, 3, 7, ops::Corners::half_pixel);
    const auto column = tap<float>(threadIdx.x, 3, 7, ops::Corners::align_corners);
    values[0] = bilinear(row, column, values[1], values[2], values[3], values[4]);
    const Range range = targets_reading(1, 3, 7, ops::Corners::half_pixel);
    const Range bins = bins_holding(1, 5, 2), bin = bin_range(1, 5, 2);
    values[1] = reading_weight(row, range.begin) + static_cast<float>(bins.end + bin.end);
}

__global__ void norms(float* values, const double* sums) {
    const Moments moments = moments_from_sums(sums[0], sums[1], sums[2]);
    const double inverse = inverse_deviation(moments.variance, 1e-5);
    const auto forward = norm_forward<float>(moments.mean, inverse, 1, 0);
    const auto backward = norm_backward<float>(moments.mean, inverse, 1, sums[3], sums[4]);
    values[threadIdx.x] = forward.apply(values[threadIdx.x]) + backward.apply(values[0], values[1]) +
                          static_cast<float>(running_value(0, unbiased(moments.variance, sums[2]), 0.1));
}

__global__ void losses(const float* logits, const float* weights, double* result) {
    const auto normaliser = softmax_normaliser(logits, 5);
    const auto terms = cross_entropy_terms<float>(0.1, 5, 5);
    const bool valid = is_valid_label(3, 5);
    result[0] = valid ? cross_entropy_loss(logits, 5, 3, weights, terms, normaliser) : 0;
    result[1] = cross_entropy_slope(logits[2], 2, 3, weights, terms, normaliser);
    const OverlapLoss overlap = overlap_loss(1, 2, 3, {.alpha = 0.3, .beta = 0.7, .exponent = 0.75, .smooth = 1});
    const double rest = focal_rest(0.25);
    const auto focal = focal_pixel(-1.5, 0.25, rest, rest * rest, 2.0);
    LovaszSweep sweep(3);
    result[2] = overlap.loss + softmax_slope(0.5, overlap.constant, overlap.on_target) + focal.loss + focal.pull +
                sweep.next(true) + signed_distance(4, 0) + static_cast<double>(most_probable(logits, 5));
}

__global__ void updates(float* values, SgdFactors<float> sgd, AdamwFactors<float> adamw) {
    sgd_update(values[0], values[1], values[2], sgd);
    adamw_update(values[0], values[1], values[2], values[3], adamw);
}

__global__ void samples(float* values, const std::uint8_t* validity, device::SampleTransform transform,
                        device::BandNormalisation band) {
    const TilePosition position = tile_position(transform, threadIdx.x, blockIdx.x, 2);
    const TileTaps taps = tile_taps(position, 8, 8);
    const ValidWeights weights = valid_weights(taps, validity, 8);
    values[0] = normalised(sampled<float>(taps, weights, validity, 8, 1), band, 0, 1, 0) +
                sample_noise<float>(7, threadIdx.x) + static_cast<float>(nearest_pixel(position, 8, 8));
}
