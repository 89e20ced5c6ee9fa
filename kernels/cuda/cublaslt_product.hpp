#pragma once

#include <cublasLt.h>

#include "cuda/libraries.hpp"
#include "cuda/plan.hpp"
#include "cuda/product_shape.hpp"

/// Products of matrices by cuBLASLt.
namespace terrane::cuda {

class Products {
  public:
    Products(Queue stream, const Float32Products& products);
    ~Products();
    Products(const Products&) = delete;
    Products& operator=(const Products&) = delete;

    Queue queue;
    const Float32Products& float32;
    cublasLtHandle_t handle = nullptr;
};

/// One product made ready. cuBLASLt counts columns first, so it is asked for the transposed result: y's part
/// comes first.
class Product {
  public:
    Product(const std::shared_ptr<Products>& products, const ProductShape& shape);
    ~Product();
    Product(const Product&) = delete;
    Product& operator=(const Product&) = delete;

    /// Whether cuBLASLt has an algorithm whose sums have a fixed order.
    bool is_possible() const { return possible_; }
    std::size_t workspace() const { return library_workspace(workspace_); }

    /// result = factor * x y + kept * result (+ bias). `vector`: the bias, or where the row sums go.
    void run(const void* x, const void* y, void* result, float factor, float kept, const void* vector,
             std::byte* workspace);

  private:
    void set_operation(cublasLtMatmulDescAttributes_t attribute, cublasOperation_t value);
    void choose(const ProductShape& shape);

    std::shared_ptr<Products> products_;
    cublasLtMatmulDesc_t operation_ = nullptr;
    cublasLtMatrixLayout_t x_ = nullptr, y_ = nullptr, result_ = nullptr;
    cublasLtMatmulAlgo_t algorithm_{};
    std::size_t workspace_ = 0;
    bool possible_ = false;
};

}  // namespace terrane::cuda
