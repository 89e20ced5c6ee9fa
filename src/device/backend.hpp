#pragma once

#include <cstddef>
#include <functional>
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

    /// Whether the host may read and write device memory itself.
    virtual bool shares_host_memory() const { return true; }

    /// Copies are in order with all work queued before and after. `host` may be changed when the call
    /// returns.
    virtual void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) = 0;
    /// Returns when the bytes are there.
    virtual void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) = 0;
    /// From device memory to device memory; the ranges do not overlap.
    virtual void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
    /// Returns when everything queued has finished.
    virtual void synchronise() = 0;

    /// Work that was queued once and can be queued again as a whole: the same kernels on the same addresses.
    class Recording {
      public:
        virtual ~Recording() = default;
        virtual void replay() = 0;
    };
    /// Calls `work` and keeps what it queues, without running it. Null, with `work` not called, where a
    /// backend has no queue or does not record.
    virtual std::unique_ptr<Recording> record(const std::function<void()>& work);
};

inline std::unique_ptr<Backend::Recording> Backend::record(const std::function<void()>&) {
    return nullptr;
}

}  // namespace terrane::device
