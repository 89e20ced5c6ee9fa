#include "cuda/libraries.hpp"

#include "base/error.hpp"

namespace terrane::cuda {

Libraries::Libraries(Queue queue, std::string device_name)
    : queue_(queue), device_name_(std::move(device_name)), choices_(EngineChoices::usual_file()) {}
Libraries::~Libraries() = default;

std::unique_ptr<device::OpPlan> Libraries::make_plan(const device::PlanRequest& request,
                                                     std::string& refusals) {
    std::string reason;
    const auto offer = [&](const char* name, std::unique_ptr<device::OpPlan> plan) {
        if (!plan) refusals += fmt::format(" {}: {}.", name, reason);
        return plan;
    };
    const ops::Op& op = request.descriptor.op;
    if (std::holds_alternative<ops::Linear>(op) || std::holds_alternative<ops::MatMul>(op)) {
        if (!products_) products_ = make_products(queue_);
        if (const auto* linear = std::get_if<ops::Linear>(&op)) {
            return offer("cublaslt", make_product_plan(*linear, request, products_, reason));
        }
        return offer("cublaslt", make_product_plan(std::get<ops::MatMul>(op), request, products_, reason));
    }
    if (std::holds_alternative<ops::Convolution>(op) ||
        std::holds_alternative<ops::TransposedConvolution>(op)) {
        if (!convolutions_) convolutions_ = make_convolutions(queue_, device_name_, choices_);
        if (const auto* convolution = std::get_if<ops::Convolution>(&op)) {
            return offer("cudnn", make_convolution_plan(*convolution, request, convolutions_, reason));
        }
        return offer("cudnn", make_convolution_plan(std::get<ops::TransposedConvolution>(op), request,
                                                    convolutions_, reason));
    }
    return nullptr;
}

}  // namespace terrane::cuda
