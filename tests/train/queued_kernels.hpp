#pragma once

#include <functional>
#include <string>
#include <vector>

#include "device/flat_kernels.hpp"

namespace terrane::test {

/// Another backend's flat kernels, each call of which is handed on as a piece of work with a name: how a
/// device with a queue sees them.
class QueuedKernels final : public device::FlatKernels {
  public:
    using Queue = std::function<void(const std::string& name, std::function<void()> work)>;
    QueuedKernels(device::FlatKernels& inner, Queue queue) : inner_(inner), queue_(std::move(queue)) {}

    void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
             std::span<float> average, std::span<const device::UpdateSegment> segments,
             const device::UpdateScalars* scalars) override {
        queue_("weights",
               [=, this] { inner_.sgd(parameters, gradients, velocity, average, segments, scalars); });
    }
    void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> moment1,
               std::span<float> moment2, std::span<float> average,
               std::span<const device::UpdateSegment> segments,
               const device::UpdateScalars* scalars) override {
        queue_("weights", [=, this] {
            inner_.adamw(parameters, gradients, moment1, moment2, average, segments, scalars);
        });
    }
    void sum_of_squares(std::span<const float> values, double* result) override {
        queue_("norm", [=, this] { inner_.sum_of_squares(values, result); });
    }
    void count_not_finite(std::span<const float> values, double* result) override {
        queue_("states", [=, this] { inner_.count_not_finite(values, result); });
    }
    void total_losses(std::span<const device::LossTerm> losses, double* totals) override {
        std::vector<device::LossTerm> terms(losses.begin(), losses.end());
        queue_("losses", [=, this] { inner_.total_losses(terms, totals); });
    }
    void gather(const device::UpdateFacts& facts, device::UpdateRecord* record) override {
        queue_("gather", [=, this] { inner_.gather(facts, record); });
    }
    void judge(const device::UpdateRules& rules, device::UpdateRecord* record, float* loss_scale) override {
        queue_("judge", [=, this] { inner_.judge(rules, record, loss_scale); });
    }
    void settle(std::span<float> values, std::span<float> kept, const device::UpdateRecord* record) override {
        queue_("settle", [=, this] { inner_.settle(values, kept, record); });
    }
    void blend(std::span<float> average, std::span<const float> values, double keep) override {
        queue_("blend", [=, this] { inner_.blend(average, values, keep); });
    }
    void add(std::span<float> sum, std::span<const float> values) override {
        queue_("add", [=, this] { inner_.add(sum, values); });
    }
    void exchange(std::span<float> a, std::span<float> b) override {
        queue_("exchange", [=, this] { inner_.exchange(a, b); });
    }

  private:
    device::FlatKernels& inner_;
    Queue queue_;
};

}  // namespace terrane::test
