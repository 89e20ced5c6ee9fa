#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "graph/program.hpp"
#include "nets/network.hpp"
#include "optim/optimizer.hpp"
#include "optim/schedule.hpp"

namespace terrane::parity {

/// What is compared, from a configuration file: [model], [loss] and [optim] as for training; [[modality]]
/// with name, bands and scale; [[class]]; grid.tile = the height of a sample, augment.crop = its width (0:
/// the height); train.global_batch = samples, train.steps = optimizer steps of the loss curve.
struct Case {
    config::Config config;
    nets::NetworkInputs inputs;
};
Case read_case(const std::string& path);

/// A few optimizer steps of a case on the CPU backend in fp32. Weights and inputs are functions of the seed
/// only (Philox), norms' scales and shifts and all biases with noise added, so that no layer is indifferent
/// to them.
class Run {
  public:
    Run(const Case& parity, std::uint64_t seed);

    /// Steps alternate between this many different batches.
    static constexpr std::int64_t batches = 2;
    void fill_inputs(std::int64_t batch);

    /// Forward and backward with the inputs as they are; afterwards loss(), losses(), outputs and gradients
    /// are those of this step.
    void forward_backward();
    /// Updates the parameters by the gradients of the last forward_backward(). Returns the learning rate.
    double update();

    double loss() const { return totals_.sum / totals_.normaliser; }
    /// The value of each loss node, not yet times its weight, by its name.
    std::map<std::string, double> losses() const;
    /// The names of all inputs, and of the outputs that are maps ("logits", "auxiliary_head.logits" ...).
    const std::vector<std::string>& inputs() const { return inputs_; }
    const std::vector<std::string>& maps() const { return maps_; }
    const graph::Program& program() const { return *program_; }
    const graph::ParameterStore& store() const { return *store_; }
    /// What gradients are to be divided by to be those of the mean.
    double normaliser() const { return totals_.normaliser; }

  private:
    const Case& parity_;
    std::uint64_t seed_;
    std::unique_ptr<device::Backend> backend_;
    device::SingleRank alone_;
    std::unique_ptr<graph::ParameterStore> store_;
    std::unique_ptr<graph::Program> program_;
    std::unique_ptr<optim::Optimizer> optimizer_;
    std::unique_ptr<optim::Schedule> schedule_;
    std::vector<std::string> inputs_, maps_, losses_;
    graph::LossTotals totals_;
    std::int64_t step_ = 0;
};

/// The part of the network a parameter or state belongs to: the first two components of its dotted name.
std::string group_of(const std::string& name);

}  // namespace terrane::parity
