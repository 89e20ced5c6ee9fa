#include "kernels/host_product.hpp"

#include "base/error.hpp"
#include "cuda/pack.hpp"

namespace terrane::test {

namespace {

using cuda::Placement;
using cuda::ProductShape;
using cuda::Stored;

/// Element (row, column) of matrix `batch` among those of a shape, as it enters the product.
struct Index {
    Index(std::int64_t rows, std::int64_t columns, Stored as, const Placement& at) : stored(as) {
        leading = at.leading != 0 ? at.leading : (stored == Stored::plain ? columns : rows);
        stride = at.stride != 0 ? at.stride : rows * columns;
    }
    std::int64_t operator()(std::int64_t batch, std::int64_t row, std::int64_t column) const {
        return batch * stride + (stored == Stored::plain ? row * leading + column : column * leading + row);
    }
    Stored stored;
    std::int64_t leading = 0, stride = 0;
};

class HostProduct final : public cuda::BatchedProduct {
  public:
    explicit HostProduct(const ProductShape& shape)
        : shape_(shape),
          x_(shape.rows, shape.depth, shape.x, shape.x_at),
          y_(shape.depth, shape.columns, shape.y, shape.y_at),
          result_(shape.rows, shape.columns, Stored::plain, shape.result_at) {}

    /// Enough to show a plan that gives none or too little: run fills it.
    std::size_t workspace() const override { return 48; }

    void run(const void* x, const void* y, void* result, float factor, std::byte* workspace) override {
        require_alignment(x, shape_.in, x_, shape_.x_at);
        require_alignment(y, shape_.in, y_, shape_.y_at);
        require_alignment(result, shape_.out, result_, shape_.result_at);
        std::fill_n(workspace, 48, std::byte{0xa5});
        const cuda::Floats left{x, shape_.in}, right{y, shape_.in};
        const cuda::FloatsOut to{result, shape_.out};
        for (std::int64_t batch = 0; batch < shape_.batch; ++batch) {
            for (std::int64_t i = 0; i < shape_.rows; ++i) {
                for (std::int64_t j = 0; j < shape_.columns; ++j) {
                    float sum = 0;
                    for (std::int64_t k = 0; k < shape_.depth; ++k) {
                        sum += left[x_(batch, i, k)] * right[y_(batch, k, j)];
                    }
                    to.store(result_(batch, i, j), factor * sum);
                }
            }
        }
    }

  private:
    static void require_alignment(const void* data, DType dtype, const Index& index, const Placement& at) {
        const auto bytes = static_cast<std::int64_t>(size_of(dtype));
        const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(data));
        if (address % at.alignment == 0 && index.stride * bytes % at.alignment == 0 &&
            index.leading * bytes % at.alignment == 0) {
            return;
        }
        throw InternalError(
            fmt::format("a product's matrix at {:#x} is not aligned to {} bytes", address, at.alignment));
    }

    ProductShape shape_;
    Index x_, y_, result_;
};

}  // namespace

std::unique_ptr<cuda::BatchedProduct> make_host_product(const ProductShape& shape) {
    if (shape.vector != ProductShape::Vector::none) return nullptr;
    return std::make_unique<HostProduct>(shape);
}

}  // namespace terrane::test
