#pragma once

#include "device/backend.hpp"

namespace terrane::device {

/// A backend that reserves instead of allocating: whatever is built on it can say how much memory it would
/// need, however large, and nothing can be run. Plans are those of the backend behind it, which must outlive
/// it.
class PlanningBackend final : public Backend {
  public:
    explicit PlanningBackend(Backend& backend) : backend_(backend) {}

    std::string name() const override { return backend_.name(); }
    std::string description() const override { return backend_.description(); }
    std::string device_id() const override { return backend_.device_id(); }
    bool shares_host_memory() const override { return backend_.shares_host_memory(); }
    /// Address space of the host; pages that nobody writes cost nothing.
    Buffer allocate(std::size_t bytes) override { return allocate_host(bytes); }
    std::unique_ptr<OpPlan> make_plan(const PlanRequest& request) override {
        return backend_.make_plan(request);
    }

    bool computes_in(DType dtype) const override { return backend_.computes_in(dtype); }
    void set_float32_products(Float32Products products) override { backend_.set_float32_products(products); }

    FlatKernels& flat_kernels() override { return backend_.flat_kernels(); }
    SampleKernels& sample_kernels() override { return backend_.sample_kernels(); }

    void copy_to_device(std::byte*, const std::byte*, std::size_t) override {}
    void copy_to_host(std::byte*, const std::byte*, std::size_t) override {}
    void copy_on_device(std::byte*, const std::byte*, std::size_t) override {}
    void synchronise() override {}

  private:
    Backend& backend_;
};

}  // namespace terrane::device
