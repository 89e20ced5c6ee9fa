#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/optim.hpp"
#include "device/backend.hpp"

namespace terrane::optim {

/// SGD, Adam or AdamW over the flat parameter buffer; owns the moments and the record of the update in work.
/// An update is order(), gather(), a sum of sums() over the ranks, make(). All of it is queued; gather() and
/// make() can be recorded. device/update.hpp says what decides about an update.
class Optimizer {
  public:
    /// `parameters`: length of the flat buffers in floats; scales_loss: whether the loss scale follows
    /// overflows. Throws Error E0511 (78) for an unknown optim.name.
    Optimizer(const config::Optim& settings, std::vector<device::UpdateSegment> segments,
              std::int64_t parameters, device::Backend& backend, bool scales_loss = false);

    /// To go on after so many updates.
    void begin(std::int64_t updates, const device::LossScale& scale);

    /// What the host says of the next update.
    void order(const device::UpdateOrder& order);
    /// Sets the record's sums to those of this rank. The gradients are sums over all ranks and passes.
    /// `not_finite`: counts of running statistics that are not. Segments that are still frozen don't count
    /// for the norm.
    void gather(std::span<const float> gradients, const device::PassLosses& losses,
                std::span<const double> not_finite);
    /// The record's sums, to be added up over the ranks.
    std::span<double> sums() const;
    /// Makes the update or leaves it out. Gradients are divided by the summed normaliser and the loss scale,
    /// then clipped to optim.clip_norm. `loss_scale`: where programs read it; null: nowhere. Segments that
    /// are still frozen stay as they are.
    void make(std::span<float> parameters, std::span<const float> gradients, float* loss_scale = nullptr);
    /// In device memory; complete until the next order().
    const device::UpdateRecord* record() const {
        return reinterpret_cast<const device::UpdateRecord*>(record_.data());
    }

    /// The moving average of the weights starts here (does nothing without optim.ema_decay). Every update
    /// moves it.
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
    std::size_t bytes() const;

  private:
    enum class Kind { sgd, adam, adamw };
    /// Neighbouring parameters that begin to be trained together.
    struct Part {
        std::size_t offset, length;
        std::int64_t first_update;
    };

    static std::vector<Part> parts_of(std::span<const device::UpdateSegment> segments,
                                      std::int64_t parameters);
    device::UpdateRecord* mutable_record() const {
        return reinterpret_cast<device::UpdateRecord*>(record_.data());
    }
    std::span<const device::UpdateSegment> segments() const;

    device::Backend& backend_;
    device::FlatKernels& kernels_;
    Kind kind_ = Kind::adamw;
    device::UpdateRules rules_;
    std::vector<Part> parts_;
    device::Buffer moment1_;  ///< SGD: the velocity
    device::Buffer moment2_;
    device::Buffer average_;
    device::Buffer record_;
    device::Buffer segments_;       ///< UpdateSegments
    device::Buffer first_updates_;  ///< of the parts
    device::Buffer squares_;        ///< of the parts
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
