#pragma once

#include <string>
#include <vector>

#include "nets/pkdiff.hpp"

/// The graphs of recursive multiscale diffusion (model.name = "pkdiff"). One mini-batch goes through
///   prepare: image, targets and height guides at every scale, cut into patches; once
///   begin:   a random state; once
/// and then, for every time and scale,
///   advance: the state resized to the scale, noise added, cut into patches
///   step:    one patch of all samples through the network: answer, losses, the patch's next state
///   join:    the patches put together to the next state
/// Which of them run on what memory is recipe::Recursion's business.
namespace terrane::nets {

/// One scale of the recursion.
struct DiffusionScale {
    std::int64_t height = 0, width = 0;
    std::int64_t edge = 0;       ///< of the patches that the network sees
    std::int64_t reduction = 1;  ///< of the labels' resolution

    std::int64_t rows() const { return height / edge; }
    std::int64_t columns() const { return width / edge; }
    std::int64_t patches() const { return rows() * columns(); }
};

/// Scales from coarse to fine. `crop`: edge of the training samples; larger maps are cut into patches of the
/// size that training saw. Throws Error E0542 for sizes that don't divide.
std::vector<DiffusionScale> diffusion_scales(const config::Diffusion& diffusion, std::int64_t height,
                                             std::int64_t width, std::int64_t crop);

/// Times of the passes in order: t(s, l) = 1 - (scales * s + l) / (scales * timesteps).
std::vector<float> diffusion_times(const config::Diffusion& diffusion);
std::int64_t timesteps_of(const config::Diffusion& diffusion);

/// Names of the inputs and outputs at a scale or a level.
std::string scaled(const std::string& name, std::size_t scale);

struct DiffusionGraphs {
    const config::Model& model;
    const NetworkInputs& inputs;
    std::vector<DiffusionScale> scales;
    Task task;
    DType compute;

    bool guided() const { return height_band_of(model.diffusion, inputs).has_value(); }
    /// Whether the state of a scale is blended with an earlier one rather than replaced.
    bool blends(std::size_t scale) const;
    /// Whether that earlier one is the same scale's of the time before, instead of the coarser scale's.
    bool blends_over_time() const { return model.diffusion.update == "ema"; }
    TensorSpec state(std::size_t scale) const;

    /// Inputs as of build_network (labels only for training); outputs image.<scale>, target.<scale>
    /// (training), encoding.<scale>.<level>, slope.<scale>.<level>: patches.
    graph::Graph prepare() const;
    /// Input keys i64 [batch]; output state [batch, height, width, classes].
    graph::Graph begin() const;
    /// Inputs state (of the scale before, for 0 of the last), keys, time; outputs noisy and resized, patches.
    graph::Graph advance(std::size_t scale) const;
    /// Inputs noisy, image, time, target, encoding.<level>, slope.<level>, previous and begins; output state.
    /// All parameters are in this graph.
    graph::Graph step(std::size_t scale) const;
    /// Input patches; output state.
    graph::Graph join(std::size_t scale) const;
    /// Inputs state and labels: output classes, the confusion and the Brier loss.
    graph::Graph score() const;
};

}  // namespace terrane::nets
