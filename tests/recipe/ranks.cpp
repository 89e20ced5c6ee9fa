#include <algorithm>

#include "diffusion_fixture.hpp"
#include "support/catch.hpp"
#include "support/one_step.hpp"

using namespace terrane;
using test::AllRanks;
using test::OneStep;
using test::relative_difference;

namespace {

config::Config one_step_of_sgd() {
    config::Config config = test::small_diffusion();
    config.train.steps = 1;
    config.train.global_batch = 4;
    config.eval.every = 0;
    config.optim.name = "sgd";  // adaptive rates turn rounding of tiny gradients into full steps
    config.optim.lr = 1e-3;
    return config;
}

OneStep train_one_step(const config::Config& config, comm::Communicator& communicator) {
    const auto backend = cpu::make_cpu_backend();
    return test::train_one_step(config, communicator, *backend);
}

}  // namespace

TEST_CASE("with the kernel loss over all ranks the gradient does not depend on their number") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = one_step_of_sgd();
    config.model.diffusion.pk_scope = "global";
    config.model.diffusion.pk_weight = 1;
    config.model.diffusion.timesteps = 1;
    config.model.diffusion.scales = 1;
    for (const char* targets : {"atoms", "sampled"}) {
        config.model.diffusion.pk_targets = targets;
        const OneStep together = train_one_step(config, all.communicator);
        const OneStep alone = train_one_step(config, *self);
        REQUIRE(together.gradients.size() == alone.gradients.size());
        CHECK(relative_difference(together.gradients, alone.gradients) < 1e-5);
        CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-6));
    }
}

TEST_CASE(
    "with every loss of class shares, image by image, the gradient does not depend on the number of ranks") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = one_step_of_sgd();
    config.model.diffusion.pk_scope = "image";
    config.model.diffusion.pk_weight = 1;
    config.model.diffusion.ce_weight = 0.5;
    config.model.diffusion.dice_weight = 0.5;
    config.model.diffusion.timesteps = 1;
    config.model.diffusion.scales = 1;
    const OneStep together = train_one_step(config, all.communicator);
    const OneStep alone = train_one_step(config, *self);
    CHECK(relative_difference(together.gradients, alone.gradients) < 1e-5);
    CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-6));
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
    const OneStep together = train_one_step(config, all.communicator);
    const OneStep alone = train_one_step(config, *self);
    CHECK(together.confusion == alone.confusion);
    CHECK(std::count_if(alone.confusion.begin(), alone.confusion.end(),
                        [](auto count) { return count > 0; }) > 3);
}

TEST_CASE("the recursion draws and goes on alike on any number of ranks") {
    AllRanks all;
    const auto self = comm::self_communicator();
    config::Config config = one_step_of_sgd();
    config.model.diffusion.pk_scope = "global";
    const OneStep together = train_one_step(config, all.communicator);
    const OneStep alone = train_one_step(config, *self);
    CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-5));
    CHECK(relative_difference(together.gradients, alone.gradients) < 1e-3);  // of the last of four updates
}
