// Built in place of cudnn_*.cpp where cuDNN or the headers of its frontend are missing.
#include "cuda/libraries.hpp"

namespace terrane::cuda {

namespace {

const char* const missing =
    "this terrane was built without cuDNN's frontend (scripts/setup.sh fetches its headers)";

}  // namespace

void require_cudnn_version() {}
std::string cudnn_version() {
    return {};
}

std::shared_ptr<Cudnn> make_cudnn(Queue, const std::string&, EngineChoices&, const Float32Products&) {
    return nullptr;
}
std::unique_ptr<device::OpPlan> make_attention_plan(const ops::Attention&, const device::PlanRequest&,
                                                    const std::shared_ptr<Cudnn>&, std::string& reason) {
    reason = missing;
    return nullptr;
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::Convolution&, const device::PlanRequest&,
                                                      const std::shared_ptr<Cudnn>&, std::string& reason) {
    reason = missing;
    return nullptr;
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::TransposedConvolution&,
                                                      const device::PlanRequest&,
                                                      const std::shared_ptr<Cudnn>&, std::string& reason) {
    reason = missing;
    return nullptr;
}

}  // namespace terrane::cuda
