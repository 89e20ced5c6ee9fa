#include "graph/one_rank.hpp"

#include <algorithm>

#include "graph/program_plan.hpp"
#include "nets/network.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

std::int64_t exchanges(const graph::Graph& network, device::Backend& backend) {
    const graph::ProgramPlan plan = graph::plan_program(network, backend);
    return std::count_if(plan.schedule.steps.begin(), plan.schedule.steps.end(), [](const graph::Step& step) {
        return std::holds_alternative<graph::ExchangeStep>(step);
    });
}

}  // namespace

TEST_CASE("on one rank synchronised batch norms stop for nobody, and nothing else of them changes",
          "[nets]") {
    const auto backend = ref::make_ref_backend();
    config::Model model;
    model.encoder_width = 8;
    const nets::NetworkInputs inputs{.modalities = {{"optical", 3, 1}, {"height", 1, 2}},
                                     .classes = 4,
                                     .batch = 2,
                                     .height = 32,
                                     .width = 32};
    const auto network = [&](const char* norm) {
        model.norm = norm;
        return nets::build_network(nets::completed(model), {}, inputs, nets::Task::train, DType::f32);
    };
    graph::Graph synchronised = network("sync_batch");
    CHECK(exchanges(synchronised, *backend) > 10);
    graph::leave_out_exchange(synchronised);
    CHECK(exchanges(synchronised, *backend) == 0);

    const graph::Graph local = network("batch");
    REQUIRE(synchronised.nodes.size() == local.nodes.size());
    for (std::size_t i = 0; i < local.nodes.size(); ++i) {
        const auto* norm = std::get_if<ops::BatchNorm>(&synchronised.nodes[i].op);
        if (norm == nullptr) continue;
        const auto& other = std::get<ops::BatchNorm>(local.nodes[i].op);
        CHECK(norm->scope == ops::NormScope::local);
        CHECK(norm->epsilon == other.epsilon);
        CHECK(norm->momentum == other.momentum);
        CHECK(norm->rectify == other.rectify);
        CHECK(norm->residual == other.residual);
    }
}
