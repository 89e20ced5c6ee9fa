// The memory of the localization rectification loss at the published sizes; nothing of that size is run.
#include <omp.h>

#include "cpu/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

device::Requirements requirements(std::int64_t batch, DType dtype) {
    const Shape map{batch, 65, 65, 2048};
    const ops::OpDescriptor descriptor = ops::describe(
        ops::LocalizationRectification{},
        {{dtype, map}, {dtype, map}, {dtype, map}, {DType::f32, {1}}, {DType::u8, {batch, 512, 512}}});
    return cpu::make_cpu_backend()
        ->make_plan({descriptor, device::Mode::training, {true, true, true, true, false}})
        ->requirements();
}

}  // namespace

TEST_CASE("rectification of 65 x 65 tokens takes less than 150 MB for any batch on sixteen threads") {
    const int before = omp_get_max_threads();
    omp_set_num_threads(16);
    for (const DType dtype : {DType::f32, DType::bf16}) {
        const device::Requirements one = requirements(1, dtype), eight = requirements(8, dtype);
        CHECK(one.backward_workspace == eight.backward_workspace);
        CHECK(one.forward_workspace == eight.forward_workspace);
        CHECK(one.saved == eight.saved);
        CHECK(one.backward_workspace < 150'000'000);
        CHECK(one.forward_workspace <= one.backward_workspace);
        CHECK(one.persistent == 0);
        // Fewer bytes than one matrix of all similarities of the batch.
        CHECK(one.saved < 100);
    }
    omp_set_num_threads(before);
}
