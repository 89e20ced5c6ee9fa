#include "cuda/libraries.hpp"

#include "base/error.hpp"
#include "cuda/attention_by_products.hpp"

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
    const auto blas = [&](const auto& op) {
        if (!products_) products_ = make_products(queue_, float32_);
        return offer("cublaslt", make_product_plan(op, request, products_, reason));
    };
    const auto by_products = [&](const ops::Attention& op) {
        if (!products_) products_ = make_products(queue_, float32_);
        const auto make = [&](const ProductShape& shape) { return make_batched_product(shape, products_); };
        return offer("products", make_attention_by_products(op, request, queue_, make, reason));
    };
    const auto dnn = [&](const auto& op, auto make) {
        if (!cudnn_) cudnn_ = make_cudnn(queue_, device_name_, choices_, float32_);
        return offer("cudnn", make(op, request, cudnn_, reason));
    };
    const auto convolution = [](const auto& op, const device::PlanRequest& asked,
                                const std::shared_ptr<Cudnn>& cudnn,
                                std::string& why) { return make_convolution_plan(op, asked, cudnn, why); };
    const ops::Op& op = request.descriptor.op;
    if (const auto* linear = std::get_if<ops::Linear>(&op)) return blas(*linear);
    if (const auto* product = std::get_if<ops::MatMul>(&op)) return blas(*product);
    if (const auto* attention = std::get_if<ops::Attention>(&op)) {
        if (auto plan = dnn(*attention, make_attention_plan)) return plan;
        return by_products(*attention);
    }
    if (const auto* plain = std::get_if<ops::Convolution>(&op)) return dnn(*plain, convolution);
    if (const auto* transposed = std::get_if<ops::TransposedConvolution>(&op)) {
        return dnn(*transposed, convolution);
    }
    return nullptr;
}

}  // namespace terrane::cuda
