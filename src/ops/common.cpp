#include "ops/common.hpp"

namespace terrane::ops {

double bytes_of(std::span<const TensorSpec> specs) {
    double bytes = 0;
    for (const TensorSpec& spec : specs) bytes += static_cast<double>(spec.bytes());
    return bytes;
}

}  // namespace terrane::ops
