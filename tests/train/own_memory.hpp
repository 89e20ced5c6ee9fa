#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "device/queued_sums.hpp"

namespace terrane::test {

/// Another backend's flat kernels as those of a device with a queue: what is queued is done at once, but
/// whoever wants a number back has to wait.
class QueuedFlatKernels final : public device::FlatKernels, public device::QueuedSums {
  public:
    QueuedFlatKernels(device::FlatKernels& inner, std::vector<std::string>& log) : inner_(inner), log_(log) {}

    void sgd(std::span<float> parameters, std::span<const float> gradients, std::span<float> velocity,
             std::span<const device::UpdateSegment> segments, const device::UpdateScalars& scalars) override {
        inner_.sgd(parameters, gradients, velocity, segments, scalars);
    }
    void adamw(std::span<float> parameters, std::span<const float> gradients, std::span<float> moment1,
               std::span<float> moment2, std::span<const device::UpdateSegment> segments,
               const device::UpdateScalars& scalars) override {
        inner_.adamw(parameters, gradients, moment1, moment2, segments, scalars);
    }
    double sum_of_squares(std::span<const float> values) override {
        log_.push_back("wait");
        return inner_.sum_of_squares(values);
    }
    bool any_not_finite(std::span<const float> values) override {
        log_.push_back("wait");
        return inner_.any_not_finite(values);
    }
    void blend(std::span<float> average, std::span<const float> values, double keep) override {
        inner_.blend(average, values, keep);
    }
    void add(std::span<float> sum, std::span<const float> values) override { inner_.add(sum, values); }
    void exchange(std::span<float> a, std::span<float> b) override { inner_.exchange(a, b); }

    void queue_sum_of_squares(std::span<const float> values, double* result) override {
        log_.push_back("norm");
        *result = inner_.sum_of_squares(values);
    }
    void queue_count_of_not_finite(std::span<const float> values, double* result) override {
        log_.push_back("states");
        *result = inner_.any_not_finite(values) ? 1 : 0;
    }

  private:
    device::FlatKernels& inner_;
    std::vector<std::string>& log_;
};

/// Another backend that says of itself what a GPU's does: its memory is its own, and what is read later is
/// there only after a wait. Keeps a log of what trainers do around the passes.
class OwnMemory final : public device::Backend, private device::SampleKernels {
  public:
    explicit OwnMemory(device::Backend& inner) : inner_(inner), flat_(inner.flat_kernels(), log) {}

    std::vector<std::string> log;  ///< "fill 0", "use 1", "norm", "states", "read" (later), "wait"
    std::size_t left = std::size_t{1} << 40;

    std::string name() const override { return inner_.name(); }
    std::string description() const override { return inner_.description(); }
    bool shares_host_memory() const override { return false; }
    std::optional<std::size_t> memory_left() const override { return left; }
    device::Buffer allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        return inner_.make_plan(request);
    }
    device::FlatKernels& flat_kernels() override { return flat_; }
    device::SampleKernels& sample_kernels() override { return *this; }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        inner_.copy_to_device(device, host, bytes);
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        inner_.copy_on_device(to, from, bytes);
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        inner_.copy_to_host(host, device, bytes);
    }
    void copy_to_host_later(std::byte* host, const std::byte* device, std::size_t bytes) override {
        std::vector<std::byte> now(bytes);
        std::memcpy(now.data(), device, bytes);
        later_.push_back({host, std::move(now)});
        log.push_back("read");
    }
    void synchronise() override {
        for (const Later& copy : later_) std::memcpy(copy.host, copy.bytes.data(), copy.bytes.size());
        later_.clear();
        log.push_back("wait");
    }

  private:
    struct Later {
        std::byte* host;
        std::vector<std::byte> bytes;
    };

    std::string number(const std::byte* slot) {
        for (std::size_t i = 0; i < slots_.size(); ++i) {
            if (slots_[i] == slot) return std::to_string(i);
        }
        slots_.push_back(slot);
        return std::to_string(slots_.size() - 1);
    }
    void begin(const std::byte* slot) override { log.push_back("fill " + number(slot)); }
    void use(const std::byte* slot) override { log.push_back("use " + number(slot)); }
    void assemble(const device::ModalitySample& sample, const device::SampleTransform& transform) override {
        inner_.sample_kernels().assemble(sample, transform);
    }
    void assemble_labels(const TensorView& tile, const device::SampleTransform& transform,
                         const TensorView& output, std::uint8_t outside) override {
        inner_.sample_kernels().assemble_labels(tile, transform, output, outside);
    }
    void write(std::span<const float> values, const TensorView& output) override {
        inner_.sample_kernels().write(values, output);
    }

    device::Backend& inner_;
    QueuedFlatKernels flat_;
    std::vector<Later> later_;
    std::vector<const std::byte*> slots_;
};

}  // namespace terrane::test
