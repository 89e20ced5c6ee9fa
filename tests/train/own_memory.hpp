#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "queued_kernels.hpp"

namespace terrane::test {

/// Another backend that says of itself what a GPU's does: its memory is its own, and what is read later is
/// there only after a wait. Keeps a log of what trainers do around the passes.
class OwnMemory final : public device::Backend, private device::SampleKernels {
  public:
    explicit OwnMemory(device::Backend& inner)
        : inner_(inner),
          flat_(inner.flat_kernels(), [this](const std::string& name, const std::function<void()>& work) {
              log.push_back(name);
              work();
          }) {}

    std::vector<std::string> log;  ///< "fill 0", "use 1", names of QueuedKernels, "read" (later), "wait"
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
    QueuedKernels flat_;
    std::vector<Later> later_;
    std::vector<const std::byte*> slots_;
};

}  // namespace terrane::test
