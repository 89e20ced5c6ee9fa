#include "graph/summary.hpp"

#include "fake_backend.hpp"
#include "nets/network.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

graph::ProgramPlan plan_of(const std::string& encoder, device::Backend& backend, std::int64_t batch = 1) {
    config::Model model;
    model.encoder = encoder;
    const nets::NetworkInputs inputs{
        .modalities = {{"optical", 3, 1}}, .classes = 6, .batch = batch, .height = 64, .width = 64};
    return graph::plan_program(nets::build_network(model, {}, inputs, nets::Task::train, DType::f32),
                               backend);
}

std::int64_t encoder_parameters(const graph::ProgramPlan& plan) {
    std::int64_t count = 0;
    for (const auto& row : graph::layer_rows(plan)) {
        if (row.name.starts_with("encoder.")) count += row.parameters;
    }
    return count;
}

}  // namespace

TEST_CASE("the encoders have exactly torchvision's parameter counts without the classifier", "[graph]") {
    test::FakeBackend backend;
    CHECK(encoder_parameters(plan_of("resnet18", backend)) == 11176512);
    CHECK(encoder_parameters(plan_of("resnet34", backend)) == 21284672);
    CHECK(encoder_parameters(plan_of("resnet50", backend)) == 23508032);
}

TEST_CASE("the largest batch fits and the next one does not", "[graph]") {
    const auto bytes = [](std::int64_t batch) { return static_cast<std::size_t>(100 + 7 * batch); };
    for (const std::size_t budget :
         {std::size_t{106}, std::size_t{107}, std::size_t{121}, std::size_t{1000}, std::size_t{5000}}) {
        const std::int64_t largest = graph::largest_batch(bytes, budget);
        if (largest > 0) CHECK(bytes(largest) <= budget);
        CHECK(bytes(largest + 1) > budget);
    }
    CHECK(graph::largest_batch(bytes, 1 << 30, 64) == 64);
}

TEST_CASE("the memory table counts parameters, gradients and moments alike", "[graph]") {
    test::FakeBackend backend;
    const graph::ProgramPlan plan = plan_of("resnet18", backend);
    const graph::MemoryTable table = graph::memory_table(plan, 2);
    graph::ParameterStore store(backend, plan.graph);
    CHECK(table.parameters == store.parameter_bytes());
    CHECK(table.gradients == store.gradient_bytes());
    CHECK(table.optimizer == 2 * table.gradients);
    CHECK(table.arena >= table.arena_bound);
    CHECK(table.total() > table.arena);
}

TEST_CASE("activation memory grows with the batch and parameters do not", "[graph]") {
    test::FakeBackend backend;
    const auto one = graph::memory_table(plan_of("resnet18", backend, 1), 1);
    const auto four = graph::memory_table(plan_of("resnet18", backend, 4), 1);
    CHECK(four.parameters == one.parameters);
    CHECK(static_cast<double>(four.arena) == Approx(4.0 * static_cast<double>(one.arena)).epsilon(0.02));
}
