#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/optim.hpp"
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
    /// labelled pixel in the whole batch) or a gradient that is not finite changes nothing. Segments that are
    /// still frozen stay as they are and don't count for the norm.
    UpdateReport update(std::span<float> parameters, std::span<const float> gradients, double normaliser,
                        double rate, std::int64_t step);
    /// The same with the norm that norm_of_sums() gave for these gradients and this step.
    UpdateReport update(std::span<float> parameters, std::span<const float> gradients, double norm_of_sums,
                        double normaliser, double rate, std::int64_t step);
    /// L2 norm of the gradients as they are, before the division by the normaliser; segments frozen at `step`
    /// left out.
    double norm_of_sums(std::span<const float> gradients, std::int64_t step) const;
    /// Calls `visit` with the parts of the gradients whose squares norm_of_sums() adds up, in that order: all
    /// of them at once, or segment by segment where some are frozen at `step`, those left out.
    template <typename Visit>
    void for_each_trained_run(std::span<const float> gradients, std::int64_t step, Visit visit) const {
        const auto frozen = [&](const device::UpdateSegment& one) { return one.is_frozen(step + 1); };
        if (std::none_of(segments_.begin(), segments_.end(), frozen)) return visit(gradients);
        for (const device::UpdateSegment& one : segments_) {
            if (!frozen(one))
                visit(gradients.subspan(static_cast<std::size_t>(one.offset),
                                        static_cast<std::size_t>(one.length)));
        }
    }
    std::size_t most_trained_runs() const { return std::max<std::size_t>(segments_.size(), 1); }

    /// The moving average of the weights starts here (does nothing without optim.ema_decay). Every update
    /// moves it: average = d * average + (1 - d) * weights with d = min(optim.ema_decay, (1 + t) / (10 + t))
    /// after t updates, so that the random start is soon forgotten.
    void start_average(std::span<const float> parameters);
    /// Exchanges weights and average: to evaluate and save the average, and back. Does nothing without one.
    void exchange_average(std::span<float> parameters);

    /// The moments by the names they have in a checkpoint: "velocity", or "moment1" and "moment2"; and
    /// "trained", the buffer of the average: a checkpoint is written while it is exchanged, so that the
    /// model's own tensors are the average and this buffer holds the weights that training goes on with.
    struct Moment {
        std::string name;
        std::span<float> values;
    };
    std::vector<Moment> moments();
    std::size_t bytes() const { return moment1_.bytes() + moment2_.bytes() + average_.bytes(); }

  private:
    enum class Kind { sgd, adam, adamw };

    config::Optim settings_;
    Kind kind_ = Kind::adamw;
    std::vector<device::UpdateSegment> segments_;
    device::FlatKernels& kernels_;
    device::Buffer moment1_;  ///< SGD: the velocity
    device::Buffer moment2_;
    device::Buffer average_;
};

/// While it lives, the parameters are the moving average of the weights, if there is one.
class AveragedWeights {
  public:
    AveragedWeights(Optimizer& optimizer, std::span<float> parameters)
        : optimizer_(optimizer), parameters_(parameters) {
        optimizer_.exchange_average(parameters_);
    }
    ~AveragedWeights() { optimizer_.exchange_average(parameters_); }
    AveragedWeights(const AveragedWeights&) = delete;
    AveragedWeights& operator=(const AveragedWeights&) = delete;

  private:
    Optimizer& optimizer_;
    std::span<float> parameters_;
};

}  // namespace terrane::optim
