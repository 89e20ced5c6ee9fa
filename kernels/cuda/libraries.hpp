#pragma once

#include <memory>
#include <string>

#include "cuda/engine_choices.hpp"
#include "cuda/product_shape.hpp"
#include "cuda/queue.hpp"
#include "device/backend.hpp"

namespace terrane::cuda {

/// What cuBLASLt plans share; made when the first of them is.
class Products;
/// What cuDNN plans share; likewise.
class Cudnn;
using device::Float32Products;

/// Plans that let cuBLASLt or cuDNN do the work.
class Libraries {
  public:
    Libraries(Queue queue, std::string device_name);
    ~Libraries();

    /// Null if no library takes the op; every refusal is appended to `refusals` as " NAME: REASON.".
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request, std::string& refusals);
    /// For plans made from now on.
    void set_float32_products(Float32Products products) { float32_ = products; }

  private:
    Queue queue_;
    std::string device_name_;
    EngineChoices choices_;
    std::shared_ptr<Products> products_;
    std::shared_ptr<Cudnn> cudnn_;
    Float32Products float32_ = Float32Products::exact;
};

// By cublaslt_product.cpp.
std::shared_ptr<Products> make_products(Queue queue, const Float32Products& float32);
/// Null if cuBLASLt has no algorithm with sums of a fixed order.
std::unique_ptr<BatchedProduct> make_batched_product(const ProductShape& shape,
                                                     const std::shared_ptr<Products>& products);

// By cublaslt_plans.cpp.
std::unique_ptr<device::OpPlan> make_product_plan(const ops::Linear& op, const device::PlanRequest& request,
                                                  const std::shared_ptr<Products>& products,
                                                  std::string& reason);
std::unique_ptr<device::OpPlan> make_product_plan(const ops::MatMul& op, const device::PlanRequest& request,
                                                  const std::shared_ptr<Products>& products,
                                                  std::string& reason);

/// Throws Error E0718 if the cuDNN that was loaded is not for the headers of this build. By
/// cudnn_version.cpp.
void require_cudnn_version();
/// "cudnn 9.19.0"; empty where no_cudnn.cpp takes its place.
std::string cudnn_version();

// By cudnn_*.cpp, or by no_cudnn.cpp where the frontend's headers are missing: then every op is refused.
std::shared_ptr<Cudnn> make_cudnn(Queue queue, const std::string& device_name, EngineChoices& choices,
                                  const Float32Products& float32);
std::unique_ptr<device::OpPlan> make_attention_plan(const ops::Attention& op,
                                                    const device::PlanRequest& request,
                                                    const std::shared_ptr<Cudnn>& cudnn, std::string& reason);
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::Convolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Cudnn>& cudnn,
                                                      std::string& reason);
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::TransposedConvolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Cudnn>& cudnn,
                                                      std::string& reason);

}  // namespace terrane::cuda
