#pragma once

#include "cuda/product_shape.hpp"

namespace terrane::test {

/// A product by plain loops on the host, in the place of a library's. Its run throws InternalError if an
/// address is less aligned than the shape says. Takes no vector beside the product.
std::unique_ptr<cuda::BatchedProduct> make_host_product(const cuda::ProductShape& shape);

}  // namespace terrane::test
