#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "device/backend.hpp"

namespace terrane::optim {

/// What one update did, for the console and the metrics.
struct UpdateReport {
    double gradient_norm = 0;  ///< global L2 norm of the mean gradient, before clipping
    bool finite = true;        ///< false: the norm is not finite and nothing was changed
};

/// SGD, Adam or AdamW over the flat parameter buffer; owns the moments.
class Optimizer {
  public:
    /// `parameters`: length of the flat buffers in floats. Throws Error E0511 (78) for an unknown optim.name.
    Optimizer(const config::Optim& settings, std::vector<device::UpdateSegment> segments,
              std::int64_t parameters, device::Backend& backend);

    /// One update from gradients that are sums over all ranks and micro-steps. They are divided by
    /// `normaliser` (the summed loss weights), then clipped to optim.clip_norm: with norm n and limit c the
    /// factor is min(1, c / (n + 1e-6)), as in PyTorch. `step` counts updates from 0. A normaliser of 0 (no
    /// labelled pixel in the whole batch) or a gradient that is not finite changes nothing.
    UpdateReport update(std::span<float> parameters, std::span<const float> gradients, double normaliser,
                        double rate, std::int64_t step);

    /// The moments by the names they have in a checkpoint: "velocity", or "moment1" and "moment2".
    struct Moment {
        std::string name;
        std::span<float> values;
    };
    std::vector<Moment> moments();
    std::size_t bytes() const { return moment1_.bytes() + moment2_.bytes(); }

  private:
    enum class Kind { sgd, adam, adamw };

    config::Optim settings_;
    Kind kind_ = Kind::adamw;
    std::vector<device::UpdateSegment> segments_;
    device::FlatKernels& kernels_;
    device::Buffer moment1_;  ///< SGD: the velocity
    device::Buffer moment2_;
};

}  // namespace terrane::optim
