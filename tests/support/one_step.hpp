#pragma once

#include <mpi.h>

#include <cmath>

#include "comm/mpi_communicator.hpp"
#include "config/weak_maps.hpp"
#include "train/training_fixture.hpp"

/// One step of training on all ranks of a test, or on one, to compare.
namespace terrane::test {

/// The communicator of all ranks of the test, freed before MPI ends.
struct AllRanks {
    comm::MpiCommunicator communicator{MPI_COMM_WORLD};
    ~AllRanks() { communicator.close(); }
};

struct OneStep {
    std::vector<float> gradients;
    std::vector<std::byte> model;
    train::StepReport step;
    std::vector<std::int64_t> confusion;  ///< of the evaluation after the step
};

/// The first step of a run of one step that is evaluated at its end.
inline OneStep train_one_step(const config::Config& config, comm::Communicator& communicator,
                              device::Backend& backend) {
    SyntheticSource training(20, 32, 3, config::weak_maps_of(config.loss)), validation(7, 32, 3);
    Recorder recorder;
    TemporaryFolder folder;
    train::TrainingSetup setup{config, training, &validation, backend, communicator, folder.path(), recorder};
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    const auto gradients = trainer.store().gradient_values();
    const auto counts = recorder.evaluations.at(0).confusion.counts();
    return {{gradients.begin(), gradients.end()},
            bytes_of(trainer.store()),
            recorder.steps.at(0),
            {counts.begin(), counts.end()}};
}

/// Length of the difference by the length of b.
inline double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
        size += double{b[i]} * double{b[i]};
    }
    return std::sqrt(difference / size);
}

}  // namespace terrane::test
