// Linear layers and products of activations by cuBLASLt.
#include "cuda/cublaslt_product.hpp"
#include "cuda/parameter_kernels.hpp"
#include "cuda/plan.hpp"

namespace terrane::cuda {

namespace {

bool is_taken(const device::PlanRequest& request, std::string& reason) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16) return true;
    reason = fmt::format("it takes f32, bf16 and f16, not {}", name_of(dtype));
    return false;
}

/// Weights and bias of bf16 and f16 products are cast once per change into memory of the plan's own.
template <typename T>
class LinearPlan final : public device::OpPlan {
  public:
    LinearPlan(const device::PlanRequest& request, const std::shared_ptr<Products>& products)
        : queue_(products->queue),
          rows_(request.descriptor.inputs[0].shape.pixels()),
          in_(request.descriptor.inputs[0].shape.channels()),
          out_(request.descriptor.outputs[0].shape.channels()),
          has_bias_(request.descriptor.inputs.size() > 2),
          biases_(rows_, out_) {
        constexpr DType dtype = dtype_of<T>;
        const auto wants = [&](std::size_t i) {
            return i < request.gradient_wanted.size() && request.gradient_wanted[i];
        };
        forward_ = std::make_unique<Product>(
            products, ProductShape{rows_, out_, in_, 1, Stored::plain, Stored::transposed, dtype, dtype,
                                   has_bias_ ? ProductShape::Vector::bias : ProductShape::Vector::none});
        if (wants(0)) {
            data_ = std::make_unique<Product>(
                products, ProductShape{rows_, in_, out_, 1, Stored::plain, Stored::plain, dtype, dtype});
        }
        if (wants(1)) make_weight_product(products, wants(2));
        requirements_.forward_workspace = forward_->workspace();
        for (const Product* product : {data_.get(), weight_.get()}) {
            if (product == nullptr) continue;
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace, product->workspace());
        }
        if (sums_with_weight_) {
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace,
                         device::aligned(weight_->workspace()) + carved<float>(out_));
        } else if (wants(2)) {
            requirements_.backward_workspace = std::max(requirements_.backward_workspace, biases_.bytes(1));
        }
        if (casts) requirements_.persistent = carved<T>(in_ * out_) + (has_bias_ ? carved<T>(out_) : 0);
    }

    bool is_possible() const {
        const auto fits = [](const std::unique_ptr<Product>& product) {
            return !product || product->is_possible();
        };
        return fits(forward_) && fits(data_) && fits(weight_);
    }
    std::string implementation() const override { return "cublaslt"; }

    void on_parameters_changed(std::span<const TensorView> inputs, std::byte* persistent) override {
        if constexpr (casts) {
            Carver memory(persistent);
            T* const weight = memory.take<T>(in_ * out_);
            if (inputs[1]) launch_cast(queue_, inputs[1].as<float>(), weight, in_ * out_);
            if (has_bias_ && inputs[2])
                launch_cast(queue_, inputs[2].as<float>(), memory.take<T>(out_), out_);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver memory(arguments.persistent);
        const void* weight = casts ? memory.take<T>(in_ * out_) : nullptr;
        const void* bias = casts && has_bias_ ? memory.take<T>(out_) : nullptr;
        if (!casts) {
            weight = arguments.inputs[1].data;
            if (has_bias_) bias = arguments.inputs[2].data;
        }
        forward_->run(arguments.inputs[0].data, weight, arguments.outputs[0].data, 1, 0, bias,
                      arguments.workspace);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& dy = arguments.output_gradients[0][0];
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            const void* weight =
                casts ? static_cast<const void*>(arguments.persistent) : arguments.inputs[1].data;
            data_->run(dy.data, weight, dx.data, 1, 0, nullptr, arguments.workspace);
        }
        if (const device::GradientTarget& dweight = arguments.input_gradients[1]; dweight.view) {
            const float kept = dweight.write == device::GradientWrite::accumulate ? 1 : 0;
            auto* const sums =
                sums_with_weight_
                    ? reinterpret_cast<float*>(arguments.workspace + device::aligned(weight_->workspace()))
                    : nullptr;
            weight_->run(dy.data, arguments.inputs[0].data, dweight.view.data, 1, kept, sums,
                         arguments.workspace);
            if (sums != nullptr) {
                launch_take(queue_, sums, parameter_gradient(arguments.input_gradients[2]), out_);
                return;
            }
        }
        if (!has_bias_) return;
        if (const auto target = parameter_gradient(arguments.input_gradients[2]); target) {
            launch_bias_gradient(queue_, biases_, Terms<T>{dy.as<T>()}, target,
                                 reinterpret_cast<double*>(arguments.workspace));
        }
    }

  private:
    static constexpr bool casts = !std::is_same_v<T, float>;

    /// The weight's gradient, if possible with the bias's by the same pass over dy.
    void make_weight_product(const std::shared_ptr<Products>& products, bool with_bias) {
        ProductShape shape{out_, in_, rows_, 1, Stored::transposed, Stored::plain, dtype_of<T>, DType::f32};
        if (with_bias) {
            shape.vector = ProductShape::Vector::row_sums;
            weight_ = std::make_unique<Product>(products, shape);
            sums_with_weight_ = weight_->is_possible();
        }
        if (sums_with_weight_) return;
        shape.vector = ProductShape::Vector::none;
        weight_ = std::make_unique<Product>(products, shape);
    }

    Queue queue_;
    std::int64_t rows_, in_, out_;
    bool has_bias_;
    bool sums_with_weight_ = false;  ///< whether the weight's product leaves the bias's gradient, too
    ColumnGeometry biases_;
    std::unique_ptr<Product> forward_, data_, weight_;
};

class MatMulPlan final : public device::OpPlan {
  public:
    MatMulPlan(const ops::MatMul& op, const device::PlanRequest& request,
               const std::shared_ptr<Products>& products)
        : factor_(static_cast<float>(op.scale)),
          a_transposed_(op.transpose_a == ops::Transpose::yes),
          b_transposed_(op.transpose_b == ops::Transpose::yes) {
        const Shape& c = request.descriptor.outputs[0].shape;
        const DType dtype = request.descriptor.inputs[0].dtype;
        const std::int64_t batch = c[0], rows = c[1], columns = c[2];
        const std::int64_t depth = request.descriptor.inputs[0].shape[a_transposed_ ? 1 : 2];
        const Stored a = a_transposed_ ? Stored::transposed : Stored::plain;
        const Stored b = b_transposed_ ? Stored::transposed : Stored::plain;
        const auto wants = [&](std::size_t i) {
            return i < request.gradient_wanted.size() && request.gradient_wanted[i];
        };
        forward_ = std::make_unique<Product>(products,
                                             ProductShape{rows, columns, depth, batch, a, b, dtype, dtype});
        if (wants(0)) {
            // da = dc op(b)^T, or its transposed op(b) dc^T where a is stored so.
            da_ = std::make_unique<Product>(
                products,
                a_transposed_
                    ? ProductShape{depth, rows, columns, batch, b, Stored::transposed, dtype, dtype}
                    : ProductShape{rows, depth, columns, batch, Stored::plain, other(b), dtype, dtype});
        }
        if (wants(1)) {
            // db = op(a)^T dc, or its transposed dc^T op(a).
            db_ = std::make_unique<Product>(
                products,
                b_transposed_
                    ? ProductShape{columns, depth, rows, batch, Stored::transposed, a, dtype, dtype}
                    : ProductShape{depth, columns, rows, batch, other(a), Stored::plain, dtype, dtype});
        }
        requirements_.forward_workspace = forward_->workspace();
        for (const Product* product : {da_.get(), db_.get()}) {
            if (product == nullptr) continue;
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace, product->workspace());
        }
    }

    bool is_possible() const {
        const auto fits = [](const std::unique_ptr<Product>& product) {
            return !product || product->is_possible();
        };
        return fits(forward_) && fits(da_) && fits(db_);
    }
    std::string implementation() const override { return "cublaslt"; }

    void forward(const device::ForwardArguments& arguments) override {
        forward_->run(arguments.inputs[0].data, arguments.inputs[1].data, arguments.outputs[0].data, factor_,
                      0, nullptr, arguments.workspace);
    }
    void backward(const device::BackwardArguments& arguments) override {
        const void* dc = arguments.output_gradients[0][0].data;
        const void* a = arguments.inputs[0].data;
        const void* b = arguments.inputs[1].data;
        if (const TensorView& da = arguments.input_gradients[0].view; da) {
            da_->run(a_transposed_ ? b : dc, a_transposed_ ? dc : b, da.data, factor_, 0, nullptr,
                     arguments.workspace);
        }
        if (const TensorView& db = arguments.input_gradients[1].view; db) {
            db_->run(b_transposed_ ? dc : a, b_transposed_ ? a : dc, db.data, factor_, 0, nullptr,
                     arguments.workspace);
        }
    }

  private:
    static Stored other(Stored stored) {
        return stored == Stored::plain ? Stored::transposed : Stored::plain;
    }

    float factor_;
    bool a_transposed_, b_transposed_;
    std::unique_ptr<Product> forward_, da_, db_;
};

template <typename Plan>
std::unique_ptr<device::OpPlan> if_possible(std::unique_ptr<Plan> plan, std::string& reason) {
    if (plan->is_possible()) return plan;
    reason = "its heuristic finds no algorithm with sums of a fixed order";
    return nullptr;
}

}  // namespace

std::unique_ptr<device::OpPlan> make_product_plan(const ops::Linear&, const device::PlanRequest& request,
                                                  const std::shared_ptr<Products>& products,
                                                  std::string& reason) {
    if (!is_taken(request, reason)) return nullptr;
    if (request.descriptor.inputs[0].dtype == DType::f32) {
        return if_possible(std::make_unique<LinearPlan<float>>(request, products), reason);
    }
    if (request.descriptor.inputs[0].dtype == DType::f16) {
        return if_possible(std::make_unique<LinearPlan<float16>>(request, products), reason);
    }
    return if_possible(std::make_unique<LinearPlan<bfloat16>>(request, products), reason);
}

std::unique_ptr<device::OpPlan> make_product_plan(const ops::MatMul& op, const device::PlanRequest& request,
                                                  const std::shared_ptr<Products>& products,
                                                  std::string& reason) {
    if (!is_taken(request, reason)) return nullptr;
    return if_possible(std::make_unique<MatMulPlan>(op, request, products), reason);
}

}  // namespace terrane::cuda
