#include "fake_backend.hpp"

#include <cstring>

#include "device/recorded_sums.hpp"

namespace terrane::test {

namespace {

class FakePlan final : public device::OpPlan {
  public:
    FakePlan(FakeBackend& backend, std::string op, const device::Requirements& needs)
        : backend_(backend), op_(std::move(op)) {
        requirements_ = needs;
    }
    std::string implementation() const override { return "fake"; }
    void forward(const device::ForwardArguments&) override { backend_.written().push_back(op_); }
    void backward(const device::BackwardArguments& arguments) override {
        std::string entry = op_ + " back";
        for (const device::GradientTarget& target : arguments.input_gradients) {
            if (target.view) entry += target.write == device::GradientWrite::accumulate ? " adds" : " writes";
        }
        backend_.written().push_back(entry);
    }

  private:
    FakeBackend& backend_;
    std::string op_;
};

class FakeRecording final : public device::Backend::Recording {
  public:
    FakeRecording(FakeBackend& backend, std::vector<std::string> entries)
        : backend_(backend), entries_(std::move(entries)) {}
    void replay() override { backend_.log.insert(backend_.log.end(), entries_.begin(), entries_.end()); }

  private:
    FakeBackend& backend_;
    std::vector<std::string> entries_;
};

}  // namespace

std::unique_ptr<device::OpPlan> FakeBackend::make_plan(const device::PlanRequest& request) {
    const std::string op(ops::name_of(request.descriptor.op));
    const auto found = requirements.find(op);
    return std::make_unique<FakePlan>(*this, op,
                                      found == requirements.end() ? device::Requirements{} : found->second);
}

std::unique_ptr<device::Backend::Recording> FakeBackend::record(const std::function<void()>& work) {
    if (!records) return nullptr;
    ++recordings;
    return device::record_with_sums(sums, [&]() -> std::unique_ptr<Recording> {
        std::vector<std::string> entries;
        written_ = &entries;
        work();
        written_ = &log;
        return std::make_unique<FakeRecording>(*this, std::move(entries));
    });
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
