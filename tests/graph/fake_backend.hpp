#pragma once

#include <map>
#include <string>
#include <vector>

#include "device/backend.hpp"

namespace terrane::test {

/// A backend whose plans need what the test says and record what they are asked, so that scheduling can be
/// tested without arithmetic.
class FakeBackend final : public device::Backend {
  public:
    std::map<std::string, device::Requirements> requirements;  ///< by op name
    bool records = false;                                      ///< whether it can record
    bool own_memory = false;              ///< whether it says that hosts can't reach its memory
    int staging_allocations = 0;          ///< so far
    int recordings = 0;                   ///< made so far
    device::Collectives* sums = nullptr;  ///< queued ones, as connect() would have given them
    std::vector<std::string> log;         ///< what plans have run, in order

    std::string name() const override { return "fake"; }
    std::string description() const override { return "records plans"; }
    device::Buffer allocate(std::size_t bytes) override { return device::allocate_host(bytes); }
    device::Buffer allocate_staging(std::size_t bytes) override {
        ++staging_allocations;
        return device::allocate_host(bytes);
    }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override;
    device::FlatKernels& flat_kernels() override;
    device::SampleKernels& sample_kernels() override;
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override;
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override;
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override;
    void synchronise() override {}
    bool shares_host_memory() const override { return !own_memory; }
    std::unique_ptr<Recording> record(const std::function<void()>& work) override;

    /// Where plans write what they are asked to do: the log, or a recording.
    std::vector<std::string>& written() { return *written_; }

  private:
    std::vector<std::string>* written_ = &log;
};

}  // namespace terrane::test
