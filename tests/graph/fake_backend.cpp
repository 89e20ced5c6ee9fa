#include "fake_backend.hpp"

#include <cstring>

namespace terrane::test {

namespace {

class FakePlan final : public device::OpPlan {
  public:
    explicit FakePlan(const device::Requirements& needs) { requirements_ = needs; }
    std::string implementation() const override { return "fake"; }
    void forward(const device::ForwardArguments&) override {}
    void backward(const device::BackwardArguments&) override {}
};

}  // namespace

std::unique_ptr<device::OpPlan> FakeBackend::make_plan(const device::PlanRequest& request) {
    const auto found = requirements.find(std::string(ops::name_of(request.descriptor.op)));
    return std::make_unique<FakePlan>(found == requirements.end() ? device::Requirements{} : found->second);
}

device::FlatKernels& FakeBackend::flat_kernels() {
    throw InternalError("the fake backend has no flat kernels");
}
device::SampleKernels& FakeBackend::sample_kernels() {
    throw InternalError("the fake backend has no sample kernels");
}

void FakeBackend::copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) {
    std::memcpy(device, host, bytes);
}
void FakeBackend::copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}
void FakeBackend::copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) {
    std::memcpy(host, device, bytes);
}

}  // namespace terrane::test
