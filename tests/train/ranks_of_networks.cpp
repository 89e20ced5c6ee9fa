// N ranks do what one does, whatever the network. pkdiff, whose step is several passes:
// tests/recipe/ranks.cpp.
#include "cpu/backend.hpp"
#include "support/catch.hpp"
#include "support/one_step.hpp"

using namespace terrane;

TEST_CASE("gradients and loss of a step, auxiliary heads included, do not depend on the number of ranks") {
    test::AllRanks all;
    const auto self = comm::self_communicator();
    const auto backend = cpu::make_cpu_backend();
    config::Config config = test::small_config();
    config.model.name = GENERATE(as<std::string>(), "duet", "pspnet", "deeplabv3", "setr_light", "setr_mla");
    config.model.encoder = "resnet18";
    config.model.norm = "sync_batch";
    config.model.dropout = 0.2;
    config.model.modality_dropout = 0.2;
    config.model.pyramid.rates = {1, 2};
    config.model.vit = {.patch = 8, .depth = 4, .width = 24, .heads = 3, .dropout = 0.1};
    config.loss.normalise = "all";
    config.train.global_batch = 12;
    config.train.steps = 1;
    config.eval.every = 0;
    const test::OneStep together = test::train_one_step(config, all.communicator, *backend);
    const test::OneStep alone = test::train_one_step(config, *self, *backend);
    CAPTURE(config.model.name);
    REQUIRE(together.gradients.size() == alone.gradients.size());
    CHECK(test::relative_difference(together.gradients, alone.gradients) < 1e-5);
    CHECK(together.step.loss == Approx(alone.step.loss).epsilon(1e-6));
    CHECK(together.step.gradient_norm == Approx(alone.step.gradient_norm).epsilon(1e-5));
}
