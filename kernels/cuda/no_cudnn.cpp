// Built in place of cudnn_plans.cpp where cuDNN or the headers of its frontend are missing.
#include "cuda/libraries.hpp"

namespace terrane::cuda {

namespace {

const char* const missing =
    "this terrane was built without cuDNN's frontend (scripts/setup.sh fetches its headers)";

}  // namespace

void require_cudnn_version() {}

std::shared_ptr<Convolutions> make_convolutions(Queue, const std::string&, EngineChoices&) {
    return nullptr;
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::Convolution&, const device::PlanRequest&,
                                                      const std::shared_ptr<Convolutions>&,
                                                      std::string& reason) {
    reason = missing;
    return nullptr;
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::TransposedConvolution&,
                                                      const device::PlanRequest&,
                                                      const std::shared_ptr<Convolutions>&,
                                                      std::string& reason) {
    reason = missing;
    return nullptr;
}

}  // namespace terrane::cuda
