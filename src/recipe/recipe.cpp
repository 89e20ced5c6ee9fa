#include "recipe/recipe.hpp"

#include "graph/freeze.hpp"
#include "recipe/recursion.hpp"

namespace terrane::recipe {

namespace {

bool recurs(const Design& design) {
    return design.model.name == "pkdiff";
}

}  // namespace

graph::Graph parameter_graph(const Design& design) {
    if (recurs(design)) {
        return diffusion_graphs(design).step(0);
    }
    graph::Graph network =
        nets::build_network(design.model, design.loss, design.inputs, design.task, design.compute);
    if (design.task == nets::Task::train) {
        graph::freeze(
            network, [&](const std::string& name) { return design.frozen.count(name) > 0; },
            design.model.frozen_dropout ? graph::FrozenDropout::on : graph::FrozenDropout::off);
    }
    return network;
}

std::unique_ptr<Training> make_training(const Design& design, const Machine& machine) {
    return recurs(design) ? make_diffusion_training(design, machine)
                          : make_single_pass_training(design, machine);
}

std::unique_ptr<Inference> make_inference(const Design& design, const Machine& machine) {
    return recurs(design) ? make_diffusion_inference(design, machine)
                          : make_single_pass_inference(design, machine);
}

}  // namespace terrane::recipe
