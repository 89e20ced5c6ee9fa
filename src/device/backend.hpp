#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "device/buffer.hpp"
#include "device/flat_kernels.hpp"
#include "device/op_plan.hpp"
#include "device/sample_kernels.hpp"

namespace terrane::device {

/// A family of kernels for one kind of device. Siblings: ref (naive, double accumulation, the oracle), cpu,
/// cuda.
class Backend {
  public:
    virtual ~Backend() = default;

    /// "cpu", with detail such as the instruction set for banners.
    virtual std::string name() const = 0;
    virtual std::string description() const = 0;

    /// Zeroed device memory. Throws Error E0710 if there is not enough.
    virtual Buffer allocate(std::size_t bytes) = 0;

    /// The first candidate that accepts the op. Throws Error E0720 listing every candidate and why it
    /// refused.
    virtual std::unique_ptr<OpPlan> make_plan(const PlanRequest& request) = 0;

    virtual FlatKernels& flat_kernels() = 0;
    virtual SampleKernels& sample_kernels() = 0;

    virtual void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) = 0;
    virtual void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) = 0;
    /// From device memory to device memory; the ranges do not overlap.
    virtual void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
    /// Returns when everything queued has finished.
    virtual void synchronise() = 0;
};

}  // namespace terrane::device
