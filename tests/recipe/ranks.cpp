#include <mpi.h>

#include <algorithm>
#include <cmath>

#include "comm/mpi_communicator.hpp"
#include "diffusion_fixture.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

struct AllRanks {
    comm::MpiCommunicator communicator{MPI_COMM_WORLD};
    ~AllRanks() { communicator.close(); }
};

struct Result {
    std::vector<float> gradients;
    train::StepReport step;
    std::vector<std::int64_t> confusion;
};

Result train_one_step(const config::Config& config, comm::Communicator& communicator) {
    test::SyntheticSource training(20, 32, 3);
    test::SyntheticSource validation(7, 32, 3);
    const auto backend = cpu::make_cpu_backend();
    test::Recorder recorder;
    test::TemporaryFolder folder;
    train::TrainingSetup setup{config,       training,      &validation, *backend,
                               communicator, folder.path(), recorder};
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    const auto gradients = trainer.store().gradient_values();
    Result result{{gradients.begin(), gradients.end()}, recorder.steps.at(0), {}};
    const auto counts = recorder.evaluations.at(0).confusion.counts();
    result.confusion.assign(counts.begin(), counts.end());
    return result;
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += (double{a[i]} - double{b[i]}) * (double{a[i]} - double{b[i]});
        size += double{b[i]} * double{b[i]};
    }
    return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("with the kernel loss over all ranks the gradient does not depend on their number") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    config.train.global_batch = 4;
    config.eval.every = 0;
    config.optim.name = "sgd";  // adaptive rates turn rounding of tiny gradients into full steps
    config.optim.lr = 1e-3;
    config.model.diffusion.pk_scope = "global";
    config.model.diffusion.pk_weight = 1;
    config.model.diffusion.timesteps = 1;
    config.model.diffusion.scales = 1;
    for (const char* targets : {"atoms", "sampled"}) {
        config.model.diffusion.pk_targets = targets;
        const Result together = train_one_step(config, all.communicator);
        const Result alone = train_one_step(config, *self);
        REQUIRE(together.gradients.size() == alone.gradients.size());
        CHECK(relative_difference(together.gradients, alone.gradients) < 1e-5);
        CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-6));
    }
}

TEST_CASE("the recursion's evaluation counts the same pixels on any number of ranks") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    config.train.global_batch = 4;
    config.eval.batch = 2;
    config.eval.every = 1;
    config.optim.name = "sgd";
    config.optim.lr = 1e-30;  // too small to move a weight: both evaluate the same network
    const Result together = train_one_step(config, all.communicator);
    const Result alone = train_one_step(config, *self);
    CHECK(together.confusion == alone.confusion);
    CHECK(std::count_if(alone.confusion.begin(), alone.confusion.end(),
                        [](auto count) { return count > 0; }) > 3);
}

TEST_CASE("the recursion draws and goes on alike on any number of ranks") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    config.train.global_batch = 4;
    config.eval.every = 0;
    config.optim.name = "sgd";
    config.optim.lr = 1e-3;
    config.model.diffusion.pk_scope = "global";
    const Result together = train_one_step(config, all.communicator);
    const Result alone = train_one_step(config, *self);
    CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-5));
    CHECK(relative_difference(together.gradients, alone.gradients) < 1e-3);  // of the last of four updates
}
