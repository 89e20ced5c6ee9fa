// Linear layers and products of activations by cuBLASLt.
#include <cublasLt.h>

#include "cuda/libraries.hpp"
#include "cuda/parameter_kernels.hpp"
#include "cuda/plan.hpp"
#include "cuda/runtime.hpp"

namespace terrane::cuda {

namespace {

void check_blas(cublasStatus_t status, const char* call) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    if (status == CUBLAS_STATUS_ALLOC_FAILED) {
        throw Error(ExitCode::device_unavailable, 710, fmt::format("GPU memory is short: {}.", call),
                    "Use a smaller batch or crop; 'terrane inspect' prints the memory plan.");
    }
    throw Error(
        ExitCode::device_unavailable, 714,
        fmt::format("cuBLASLt call {} failed: {}.", call, cublasLtGetStatusName(status)),
        "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be restarted.");
}

}  // namespace

#define TERRANE_BLAS_CHECK(call) check_blas((call), #call)

class Products {
  public:
    Products(Queue stream, const Float32Products& products) : queue(stream), float32(products) {
        TERRANE_BLAS_CHECK(cublasLtCreate(&handle));
    }
    ~Products() { static_cast<void>(cublasLtDestroy(handle)); }
    Products(const Products&) = delete;
    Products& operator=(const Products&) = delete;

    Queue queue;
    const Float32Products& float32;
    cublasLtHandle_t handle = nullptr;
};

namespace {

constexpr std::size_t most_workspace = std::size_t{32} << 20;

cudaDataType_t type_of(DType dtype) {
    if (dtype == DType::bf16) return CUDA_R_16BF;
    return dtype == DType::f16 ? CUDA_R_16F : CUDA_R_32F;
}

/// How a factor of a product lies in memory: as it enters, or transposed.
enum class Stored { plain, transposed };

/// result [rows, columns] = factor * x [rows, depth] * y [depth, columns], row-major, `batch` times.
struct ProductShape {
    std::int64_t rows, columns, depth, batch = 1;
    Stored x = Stored::plain, y = Stored::plain;
    DType in = DType::f32, out = DType::f32;
    /// What comes with the product: a bias per column that is added to the result, or the sums of x's rows
    /// over the depth, i.e. of a gradient over the positions. Of type `out`.
    enum class Vector { none, bias, row_sums } vector = Vector::none;
};

/// One product made ready. cuBLASLt counts columns first, so it is asked for the transposed result: y's part
/// comes first.
class Product {
  public:
    Product(const std::shared_ptr<Products>& products, const ProductShape& shape) : products_(products) {
        const bool tf32 = shape.in == DType::f32 && products->float32 == Float32Products::tf32;
        TERRANE_BLAS_CHECK(cublasLtMatmulDescCreate(
            &operation_, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
        set_operation(CUBLASLT_MATMUL_DESC_TRANSA, shape.y == Stored::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
        set_operation(CUBLASLT_MATMUL_DESC_TRANSB, shape.x == Stored::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
        if (shape.vector != ProductShape::Vector::none) {
            // x comes second, as cuBLASLt's B.
            const cublasLtEpilogue_t epilogue = shape.vector == ProductShape::Vector::bias
                                                    ? CUBLASLT_EPILOGUE_BIAS
                                                    : CUBLASLT_EPILOGUE_BGRADB;
            TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                              &epilogue, sizeof(epilogue)));
        }
        y_ = layout(type_of(shape.in), shape.depth, shape.columns, shape.y, shape.batch);
        x_ = layout(type_of(shape.in), shape.rows, shape.depth, shape.x, shape.batch);
        result_ = layout(type_of(shape.out), shape.rows, shape.columns, Stored::plain, shape.batch);
        choose();
    }
    ~Product() {
        for (cublasLtMatrixLayout_t layout : {x_, y_, result_}) {
            if (layout != nullptr) static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
        }
        if (operation_ != nullptr) static_cast<void>(cublasLtMatmulDescDestroy(operation_));
    }
    Product(const Product&) = delete;
    Product& operator=(const Product&) = delete;

    bool is_possible() const { return possible_; }
    std::size_t workspace() const { return workspace_; }

    /// result = factor * x y + kept * result (+ bias). `vector`: the bias, or where the row sums go.
    void run(const void* x, const void* y, void* result, float factor, float kept, const void* vector,
             std::byte* workspace) {
        if (vector != nullptr) {
            TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                              &vector, sizeof(vector)));
        }
        TERRANE_BLAS_CHECK(cublasLtMatmul(products_->handle, operation_, &factor, y, y_, x, x_, &kept, result,
                                          result_, result, result_, &algorithm_, workspace, workspace_,
                                          products_->queue.stream));
    }

  private:
    void set_operation(cublasLtMatmulDescAttributes_t attribute, cublasOperation_t value) {
        TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)));
    }

    /// A row-major [rows, columns], or its transposed, in cuBLASLt's words.
    static cublasLtMatrixLayout_t layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns,
                                         Stored stored, std::int64_t batch) {
        const std::int64_t across = stored == Stored::plain ? columns : rows;
        const std::int64_t down = stored == Stored::plain ? rows : columns;
        cublasLtMatrixLayout_t layout = nullptr;
        TERRANE_BLAS_CHECK(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(across),
                                                      static_cast<std::uint64_t>(down), across));
        const auto count = static_cast<std::int32_t>(batch);
        const std::int64_t stride = rows * columns;
        TERRANE_BLAS_CHECK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                            &count, sizeof(count)));
        TERRANE_BLAS_CHECK(cublasLtMatrixLayoutSetAttribute(
            layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof(stride)));
        return layout;
    }

    /// The heuristic's first choice whose sums have a fixed order.
    void choose() {
        cublasLtMatmulPreference_t preference = nullptr;
        TERRANE_BLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
        const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
            TERRANE_BLAS_CHECK(
                cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
        };
        set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{most_workspace});
        set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
        for (const auto attribute :
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
            set(attribute, std::uint32_t{16});
        }
        cublasLtMatmulHeuristicResult_t result{};
        int found = 0;
        const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
            products_->handle, operation_, y_, x_, result_, result_, preference, 1, &result, &found);
        static_cast<void>(cublasLtMatmulPreferenceDestroy(preference));
        if (status == CUBLAS_STATUS_NOT_SUPPORTED || found == 0) return;
        TERRANE_BLAS_CHECK(status);
        possible_ = true;
        algorithm_ = result.algo;
        workspace_ = result.workspaceSize;
    }

    std::shared_ptr<Products> products_;
    cublasLtMatmulDesc_t operation_ = nullptr;
    cublasLtMatrixLayout_t x_ = nullptr, y_ = nullptr, result_ = nullptr;
    cublasLtMatmulAlgo_t algorithm_{};
    std::size_t workspace_ = 0;
    bool possible_ = false;
};

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

std::shared_ptr<Products> make_products(Queue queue, const Float32Products& float32) {
    return std::make_shared<Products>(queue, float32);
}

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
