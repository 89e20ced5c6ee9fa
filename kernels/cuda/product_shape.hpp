#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "tensor/dtype.hpp"

/// What is asked of a product of matrices, in no vendor's words.
namespace terrane::cuda {

/// How a factor of a product lies in memory: as it enters, or transposed.
enum class Stored { plain, transposed };

/// Where the rows, as stored, of the matrices of a batch lie, in elements. By default all is packed tightly.
struct Placement {
    std::int64_t leading = 0;  ///< from row to row; 0: the length of a row
    std::int64_t stride = 0;   ///< from matrix to matrix; 0: the size of a matrix. Matrices may interlock
    int alignment = 16;        ///< bytes that the first element's address is a multiple of
};

/// result [rows, columns] = factor * x [rows, depth] * y [depth, columns], row-major, `batch` times.
struct ProductShape {
    std::int64_t rows, columns, depth, batch = 1;
    Stored x = Stored::plain, y = Stored::plain;
    DType in = DType::f32, out = DType::f32;
    /// What comes with the product: a bias per column that is added to the result, or the sums of x's rows
    /// over the depth, i.e. of a gradient over the positions. Of type `out`.
    enum class Vector { none, bias, row_sums } vector = Vector::none;
    Placement x_at = {}, y_at = {}, result_at = {};
};

/// One product made ready, by whichever library there is. Sums have a fixed order and run in f32.
class BatchedProduct {
  public:
    virtual ~BatchedProduct() = default;
    /// Scratch bytes during run.
    virtual std::size_t workspace() const = 0;
    /// Queues result = factor * x y. All memory, workspace included, is the device's.
    virtual void run(const void* x, const void* y, void* result, float factor, std::byte* workspace) = 0;
};

/// Null for a shape that the library doesn't take.
using MakeProduct = std::function<std::unique_ptr<BatchedProduct>(const ProductShape& shape)>;

}  // namespace terrane::cuda
