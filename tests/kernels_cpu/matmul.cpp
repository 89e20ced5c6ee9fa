#include "cpu/backend.hpp"
#include "kernels_cpu/plan_runner.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

TEST_CASE("batched products equal the reference in every orientation") {
    using ops::Transpose;
    auto cpu = cpu::make_cpu_backend();
    auto ref = ref::make_ref_backend();
    for (const DType dtype : {DType::f32, DType::bf16}) {
        for (const Transpose a : {Transpose::no, Transpose::yes}) {
            for (const Transpose b : {Transpose::no, Transpose::yes}) {
                for (const double scale : {1.0, 0.125}) {
                    const std::int64_t batch = 6, m = 33, k = 20, n = 47;
                    const std::vector<TensorSpec> inputs{
                        {dtype, a == Transpose::yes ? Shape{batch, k, m} : Shape{batch, m, k}},
                        {dtype, b == Transpose::yes ? Shape{batch, n, k} : Shape{batch, k, n}}};
                    const ops::MatMul op{a, b, scale};
                    PlanRunner fast(*cpu, op, inputs);
                    PlanRunner slow(*ref, op, inputs);
                    INFO(name_of(dtype) << " " << static_cast<int>(a) << static_cast<int>(b) << " "
                                        << fast.plan->implementation());
                    for (PlanRunner* runner : {&fast, &slow}) {
                        runner->fill_all(Values::small_integers);
                        runner->forward();
                        runner->backward();
                    }
                    // Sums of at most 47 products of small integers, times a power of two, are exact in bf16
                    // too as long as they stay below 256.
                    CHECK(difference(fast.outputs[0], slow.outputs[0]).relative == 0);
                    CHECK(difference(fast.input_gradients[0], slow.input_gradients[0]).relative == 0);
                    CHECK(difference(fast.input_gradients[1], slow.input_gradients[1]).relative == 0);
                    CHECK(difference(fast.outputs[0], slow.outputs[0]).share_not_zero > 0.5);
                }
            }
        }
    }
}
