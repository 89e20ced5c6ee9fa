#include "cuda/cublaslt_product.hpp"

#include "base/error.hpp"
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

#define TERRANE_BLAS_CHECK(call) check_blas((call), #call)

constexpr std::size_t most_workspace = std::size_t{32} << 20;

cudaDataType_t type_of(DType dtype) {
    if (dtype == DType::bf16) return CUDA_R_16BF;
    return dtype == DType::f16 ? CUDA_R_16F : CUDA_R_32F;
}

/// A row-major [rows, columns], or its transposed, in cuBLASLt's words.
cublasLtMatrixLayout_t layout(cudaDataType_t type, std::int64_t rows, std::int64_t columns, Stored stored,
                              std::int64_t batch, const Placement& at) {
    const std::int64_t across = stored == Stored::plain ? columns : rows;
    const std::int64_t down = stored == Stored::plain ? rows : columns;
    cublasLtMatrixLayout_t layout = nullptr;
    TERRANE_BLAS_CHECK(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(across),
                                                  static_cast<std::uint64_t>(down),
                                                  at.leading != 0 ? at.leading : across));
    const auto count = static_cast<std::int32_t>(batch);
    const std::int64_t stride = at.stride != 0 ? at.stride : rows * columns;
    TERRANE_BLAS_CHECK(
        cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)));
    TERRANE_BLAS_CHECK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                                        &stride, sizeof(stride)));
    return layout;
}

}  // namespace

Products::Products(Queue stream, const Float32Products& products) : queue(stream), float32(products) {
    TERRANE_BLAS_CHECK(cublasLtCreate(&handle));
}
Products::~Products() {
    static_cast<void>(cublasLtDestroy(handle));
}

Product::Product(const std::shared_ptr<Products>& products, const ProductShape& shape) : products_(products) {
    const bool tf32 = shape.in == DType::f32 && products->float32 == Float32Products::tf32;
    TERRANE_BLAS_CHECK(cublasLtMatmulDescCreate(
        &operation_, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set_operation(CUBLASLT_MATMUL_DESC_TRANSA, shape.y == Stored::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
    set_operation(CUBLASLT_MATMUL_DESC_TRANSB, shape.x == Stored::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
    if (shape.vector != ProductShape::Vector::none) {
        // x comes second, as cuBLASLt's B.
        const cublasLtEpilogue_t epilogue =
            shape.vector == ProductShape::Vector::bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB;
        TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                          &epilogue, sizeof(epilogue)));
    }
    y_ = layout(type_of(shape.in), shape.depth, shape.columns, shape.y, shape.batch, shape.y_at);
    x_ = layout(type_of(shape.in), shape.rows, shape.depth, shape.x, shape.batch, shape.x_at);
    result_ =
        layout(type_of(shape.out), shape.rows, shape.columns, Stored::plain, shape.batch, shape.result_at);
    choose(shape);
}
Product::~Product() {
    for (cublasLtMatrixLayout_t layout : {x_, y_, result_}) {
        if (layout != nullptr) static_cast<void>(cublasLtMatrixLayoutDestroy(layout));
    }
    if (operation_ != nullptr) static_cast<void>(cublasLtMatmulDescDestroy(operation_));
}

void Product::run(const void* x, const void* y, void* result, float factor, float kept, const void* vector,
                  std::byte* workspace) {
    if (vector != nullptr) {
        TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                          &vector, sizeof(vector)));
    }
    TERRANE_BLAS_CHECK(cublasLtMatmul(products_->handle, operation_, &factor, y, y_, x, x_, &kept, result,
                                      result_, result, result_, &algorithm_, library_workspace(workspace),
                                      workspace_, products_->queue.stream));
}

void Product::set_operation(cublasLtMatmulDescAttributes_t attribute, cublasOperation_t value) {
    TERRANE_BLAS_CHECK(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)));
}

/// The heuristic's first choice whose sums have a fixed order.
void Product::choose(const ProductShape& shape) {
    cublasLtMatmulPreference_t preference = nullptr;
    TERRANE_BLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
    const auto set = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
        TERRANE_BLAS_CHECK(
            cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)));
    };
    set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{most_workspace});
    set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    const auto align = [&](cublasLtMatmulPreferenceAttributes_t attribute, const Placement& at) {
        set(attribute, static_cast<std::uint32_t>(at.alignment));
    };
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.y_at);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.x_at);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, shape.result_at);
    align(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, shape.result_at);
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

namespace {

class CublasLtBatch final : public BatchedProduct {
  public:
    CublasLtBatch(const std::shared_ptr<Products>& products, const ProductShape& shape)
        : product_(products, shape) {}
    bool is_possible() const { return product_.is_possible(); }
    std::size_t workspace() const override { return product_.workspace(); }
    void run(const void* x, const void* y, void* result, float factor, std::byte* workspace) override {
        product_.run(x, y, result, factor, 0, nullptr, workspace);
    }

  private:
    Product product_;
};

}  // namespace

std::shared_ptr<Products> make_products(Queue queue, const Float32Products& float32) {
    return std::make_shared<Products>(queue, float32);
}

std::unique_ptr<BatchedProduct> make_batched_product(const ProductShape& shape,
                                                     const std::shared_ptr<Products>& products) {
    auto product = std::make_unique<CublasLtBatch>(products, shape);
    if (!product->is_possible()) return nullptr;
    return product;
}

}  // namespace terrane::cuda
