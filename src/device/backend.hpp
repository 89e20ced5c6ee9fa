#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "device/buffer.hpp"
#include "device/device_group.hpp"
#include "device/flat_kernels.hpp"
#include "device/memory.hpp"
#include "device/op_plan.hpp"
#include "device/sample_kernels.hpp"
#include "device/work_counts.hpp"

namespace terrane::device {

/// How products of f32 numbers (convolutions, linear layers) may be computed: as f32, or with factors rounded
/// to TF32's 10 fraction bits, which tensor cores multiply many times faster. Sums are f32 either way.
enum class Float32Products { exact, tf32 };

/// A family of kernels for one kind of device. Siblings: ref (naive, double accumulation, the oracle), cpu,
/// cuda.
class Backend : public Memory {
  public:
    /// "cpu", with detail such as the instruction set for banners.
    virtual std::string name() const = 0;
    virtual std::string description() const = 0;

    /// The first candidate that accepts the op. Throws Error E0720 listing every candidate and why it
    /// refused.
    virtual std::unique_ptr<OpPlan> make_plan(const PlanRequest& request) = 0;

    /// Whether networks whose activations are of this type can run.
    virtual bool computes_in(DType dtype) const { return dtype == DType::f32 || dtype == DType::bf16; }
    /// For plans made from now on; where a device has no faster way than the exact one, nothing changes.
    virtual void set_float32_products(Float32Products) {}

    virtual FlatKernels& flat_kernels() = 0;
    virtual SampleKernels& sample_kernels() = 0;

    /// Whether the host may read and write device memory itself.
    virtual bool shares_host_memory() const { return true; }

    /// Returns when the bytes are there; in order with all work queued before and after, like all copies.
    virtual void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) = 0;
    /// Only queues the copy: the bytes are there after the next synchronise(). `host` is of
    /// allocate_staging().
    virtual void copy_to_host_later(std::byte* host, const std::byte* device, std::size_t bytes) {
        copy_to_host(host, device, bytes);
    }
    /// From device memory to device memory; the ranges do not overlap.
    virtual void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) = 0;
    /// Returns when everything queued has finished.
    virtual void synchronise() = 0;
    /// A place in the queue that the host can wait for.
    class Mark {
      public:
        virtual ~Mark() = default;
        virtual void set() = 0;   ///< moves it behind everything queued so far
        virtual void wait() = 0;  ///< returns when what was queued before it has finished
    };
    /// The backend must outlive it. Unless a backend has a better one, waiting for it is synchronise().
    virtual std::unique_ptr<Mark> make_mark();
    virtual WorkCounts work_counts() const { return {}; }
    /// Bytes of the device's own memory that nobody has taken, this process or another; none where it is the
    /// host's.
    virtual std::optional<std::size_t> memory_left() const { return std::nullopt; }
    /// For profilers: what is queued until leave_phase() belongs together. `name` is a literal. Phases nest.
    virtual void enter_phase(const char* /*name*/) {}
    virtual void leave_phase() {}

    /// What was loaded to compute with, for banners: "cudnn 9.19.0".
    virtual std::vector<std::string> library_versions() const { return {}; }

    /// Names the device this backend computes on, in equal words in every process of any machine; empty where
    /// processes may share one without harm.
    virtual std::string device_id() const { return {}; }
    /// Zeroed host memory from and to which copies are fastest. Throws Error E0710.
    virtual Buffer allocate_staging(std::size_t bytes) { return allocate_host(bytes); }
    /// Sums over the ranks of a group that are queued (Collectives::are_queued). Collective. Null where the
    /// backend has none. Throws Error E0717 if the ranks can't be connected. The backend must outlive it, and
    /// it recordings.
    virtual std::shared_ptr<Collectives> connect(const DeviceGroup& group);

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

inline std::shared_ptr<Collectives> Backend::connect(const DeviceGroup&) {
    return nullptr;
}
inline std::unique_ptr<Backend::Recording> Backend::record(const std::function<void()>&) {
    return nullptr;
}
inline std::unique_ptr<Backend::Mark> Backend::make_mark() {
    class WholeQueue final : public Mark {
      public:
        explicit WholeQueue(Backend& backend) : backend_(backend) {}
        void set() override {}
        void wait() override { backend_.synchronise(); }

      private:
        Backend& backend_;
    };
    return std::make_unique<WholeQueue>(*this);
}

/// While it lives, a phase for profilers.
class NamedPhase {
  public:
    NamedPhase(Backend& backend, const char* name) : backend_(backend) { backend_.enter_phase(name); }
    ~NamedPhase() { backend_.leave_phase(); }
    NamedPhase(const NamedPhase&) = delete;
    NamedPhase& operator=(const NamedPhase&) = delete;

  private:
    Backend& backend_;
};

}  // namespace terrane::device
