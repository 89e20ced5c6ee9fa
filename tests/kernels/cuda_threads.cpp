// The index arithmetic of the CUDA kernels, every thread run on the host. Needs no GPU and no nvcc.
#include <set>

#include "cuda/backend.hpp"
#include "cuda/resize_at.hpp"
#include "kernels/compare.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

template <typename T, int width>
RunResult run_threads(const OpCase& one, const RunOptions& options) {
    const auto& op = std::get<ops::Resize>(one.op);
    const Shape& x_shape = one.inputs[0].shape;
    const cuda::ResizeGeometry g{x_shape.batch(), x_shape.height(),   x_shape.width(), op.height,
                                 op.width,        x_shape.channels(), op.corners};
    const auto backend = ref::make_ref_backend();
    const Shape y_shape{g.batch, g.out_height, g.out_width, g.channels};
    const device::Buffer x = backend->allocate(TensorSpec{dtype_of<T>, x_shape}.bytes());
    const device::Buffer y = backend->allocate(TensorSpec{dtype_of<T>, y_shape}.bytes());
    const device::Buffer dy = backend->allocate(y.bytes());
    const device::Buffer dx = backend->allocate(x.bytes());
    const auto put = [](const device::Buffer& buffer, const std::vector<double>& values) {
        const auto bytes = encode(values, dtype_of<T>);
        std::copy(bytes.begin(), bytes.end(), buffer.data());
    };
    const auto numbers = [](const device::Buffer& buffer) {
        return decode({buffer.data(), buffer.data() + buffer.bytes()}, dtype_of<T>);
    };
    const auto as = [](const device::Buffer& buffer) { return reinterpret_cast<T*>(buffer.data()); };
    put(x, case_inputs(one, options)[0]);
    put(dy, options.upstream);
    for (std::int64_t i = 0; i < cuda::resize_items<width>(g, g.out_height, g.out_width); ++i) {
        cuda::resize_forward_at<T, width>(as(x), as(y), g, i);
    }
    for (std::int64_t i = 0; i < cuda::resize_items<width>(g, g.in_height, g.in_width); ++i) {
        cuda::resize_backward_at<T, width>(as(dy), nullptr, as(dx), g, i);
    }
    RunResult result;
    result.outputs = {numbers(y)};
    result.gradients = {numbers(dx)};
    result.states = {{}};
    result.output_types = result.input_types = {dtype_of<T>};
    return result;
}

template <typename T>
int check_all() {
    const auto reference = ref::make_ref_backend();
    int wide = 0;
    for (const OpCase& one : map_cases()) {
        if (!std::holds_alternative<ops::Resize>(one.op)) continue;
        RunOptions options;
        options.compute = DType::f64;
        options.rounded_as = dtype_of<T>;
        options.upstream = upstream_gradient(one, options);
        for (double& value : options.upstream) value = rounded(value, dtype_of<T>);
        const RunResult oracle = run_case(*reference, one, options);
        const Tolerance tolerance = tolerance_for(one, dtype_of<T>);
        INFO(one.name);
        CHECK(differences(one, run_threads<T, 1>(one, options), oracle, tolerance).empty());
        if (one.classes() % cuda::full_pack<T> != 0) continue;
        ++wide;
        CHECK(differences(one, run_threads<T, cuda::full_pack<T>>(one, options), oracle, tolerance).empty());
    }
    return wide;
}

}  // namespace

TEST_CASE("the threads of the resize kernels together compute the reference's result", "[cuda]") {
    CHECK(check_all<float>() > 2);  // the 16-byte path is among them
    CHECK(check_all<bfloat16>() > 2);
}

TEST_CASE("a work item is one pixel and one pack of channels, each exactly once", "[cuda]") {
    const cuda::ResizeGeometry g{.batch = 2, .in_height = 3, .in_width = 5, .channels = 12};
    std::set<std::int64_t> seen;
    const std::int64_t items = cuda::resize_items<4>(g, 3, 5);
    for (std::int64_t i = 0; i < items; ++i) {
        const cuda::ResizeItem item = cuda::resize_item<4>(i, g, 3, 5);
        CHECK((item.sample < 2 && item.row < 3 && item.column < 5 && item.channel % 4 == 0));
        seen.insert(((item.sample * 3 + item.row) * 5 + item.column) * 12 + item.channel);
    }
    CHECK(items == 2 * 3 * 5 * 3);
    CHECK(static_cast<std::int64_t>(seen.size()) == items);
    CHECK(*seen.rbegin() == 2 * 3 * 5 * 12 - 4);
}

TEST_CASE("without CUDA or without a GPU the backend refuses with exit code 69 and says what to do",
          "[cuda]") {
    try {
        const auto backend = cuda::make_cuda_backend();
        CHECK(backend->name() == "cuda");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::device_unavailable);
        CHECK_FALSE(error.fix().empty());
    }
}
