// Which attention goes by products, and in which groups: against_reference.cpp checks the results.
#include "cuda/attention_by_products.hpp"

#include "kernels/candidate.hpp"
#include "kernels/host_product.hpp"
#include "kernels/run_case.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

struct Planned {
    std::unique_ptr<device::OpPlan> plan;
    std::string reason;
    std::vector<cuda::ProductShape> shapes;
};

/// A packed attention of heads of 64 channels that trains.
Planned plan_of(std::int64_t samples, std::int64_t tokens, ops::Attention op, DType dtype,
                std::int64_t group_scores = cuda::usual_group_scores, bool has_products = true) {
    Planned result;
    const auto make = [&](const cuda::ProductShape& shape) {
        result.shapes.push_back(shape);
        return has_products ? make_host_product(shape) : nullptr;
    };
    const auto descriptor = ops::describe(op, {{dtype, {samples, tokens, 3 * 64 * op.heads}}});
    result.plan = cuda::make_attention_by_products(op, {descriptor, device::Mode::training, {true}}, {}, make,
                                                   result.reason, group_scores);
    return result;
}

}  // namespace

TEST_CASE("cases of attention go by products", "[cuda]") {
    const auto backend = make_candidate();
    RunOptions options;
    options.compute = options.rounded_as = DType::f32;
    for (const OpCase& one : selected_cases()) {
        if (!std::holds_alternative<ops::Attention>(one.op)) continue;
        CHECK(run_case(*backend, one, options).implementation == "cuda:products");
    }
}

TEST_CASE("operands of attention are read where they lie", "[cuda]") {
    // 12 heads of 1024 x 1024 scores take 48 MiB: a sample at a time.
    const Planned planned = plan_of(4, 1024, {.heads = 12, .dropout = 0.1}, DType::bf16);
    REQUIRE(planned.plan);
    REQUIRE(planned.shapes.size() == 6);
    for (const cuda::ProductShape& shape : planned.shapes) CHECK(shape.batch == 12);
    const cuda::ProductShape& scores = planned.shapes[0];
    CHECK(scores.out == DType::f32);
    CHECK(scores.x_at.leading == 3 * 768);
    CHECK(scores.x_at.stride == 64);
    CHECK(scores.x_at.alignment == 16);
    CHECK(scores.result_at.leading == 1024);
    CHECK(scores.result_at.stride == 1024 * 1024);
    constexpr std::size_t matrix = std::size_t{12} * 1024 * 1024;
    const device::Requirements& needs = planned.plan->requirements();
    CHECK(needs.forward_workspace == matrix * 6 + 48);
    CHECK(needs.backward_workspace == 2 * matrix * 6 + 48);
    CHECK(needs.saved == std::size_t{4} * 12 * 1024 * (4 + 1024 / 8));
}

TEST_CASE("groups of attention are equal parts and keep to their memory", "[cuda]") {
    constexpr std::int64_t head = 16 * 16 * 4;
    const auto batch = [](std::int64_t samples, std::int64_t heads, std::int64_t group_heads) {
        const Planned planned = plan_of(samples, 16, {.heads = heads}, DType::f32, group_heads * head);
        REQUIRE(planned.plan);
        CHECK(planned.plan->requirements().forward_workspace <=
              static_cast<std::size_t>(std::max<std::int64_t>(1, group_heads) * head + 48));
        return planned.shapes[0].batch;
    };
    CHECK(batch(2, 6, 5) == 3);    // 3 heads of a sample
    CHECK(batch(2, 6, 0) == 1);    // a head is never cut
    CHECK(batch(2, 6, 100) == 6);  // all at once, a product per sample
    CHECK(batch(9, 2, 7) == 3);    // 3 samples, a product per head
    CHECK(batch(9, 2, 100) == 9);
}

TEST_CASE("attention by products is refused with a reason", "[cuda]") {
    const Planned large = plan_of(1, 9000, {}, DType::f32);
    CHECK(!large.plan);
    CHECK(large.reason == "the scores of a head take 308 MiB, more than 256");
    const Planned without = plan_of(1, 16, {}, DType::f32, cuda::usual_group_scores, false);
    CHECK(!without.plan);
    CHECK(without.reason.find("no product of these sizes") == 0);
    CHECK(plan_of(1, 16, {}, DType::f64).reason.find("not f64") != std::string::npos);
}
