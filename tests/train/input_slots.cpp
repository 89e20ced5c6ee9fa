// Training on a device with memory of its own: the next batch is brought there before the host waits for the
// last one.
#include <algorithm>

#include "own_memory.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

struct Trained {
    std::vector<std::byte> model;
    std::vector<std::string> log;
    std::vector<double> losses;
};

Trained trained_with(bool own_memory, const config::Config& config) {
    test::Run run;
    auto inner = ref::make_ref_backend();
    auto device = std::make_unique<test::OwnMemory>(*inner);
    test::OwnMemory& log = *device;
    if (own_memory) run.backend = std::move(device);
    const test::TemporaryFolder folder;
    run.train(config, folder.path());
    Trained trained{run.model, log.log, {}};
    for (const train::StepReport& step : run.recorder.steps) trained.losses.push_back(step.loss);
    return trained;
}

}  // namespace

TEST_CASE("two input slots give what one gives, over micro-steps, steps and evaluations") {
    config::Config config = test::small_config();
    config.train.steps = 5;
    config.train.batch = 2;  // two micro-steps
    config.eval.every_steps = 2;
    const Trained one = trained_with(false, config), two = trained_with(true, config);
    CHECK(one.losses == two.losses);
    CHECK(one.model == two.model);
}

TEST_CASE(
    "a batch is brought to the device while the one before is computed, and the host waits once per update") {
    config::Config config = test::small_config();
    config.train.steps = 4;
    config.train.batch = 2;
    config.eval.every = 0;
    const std::vector<std::string> log = trained_with(true, config).log;
    // Up to the last step's wait; what follows is the evaluation and the checkpoint.
    std::vector<std::string> steps;
    int waits = 0;
    for (const std::string& entry : log) {
        if (waits == 4) break;
        if (entry == "wait" && steps.empty()) continue;  // before the training begins
        steps.push_back(entry);
        if (entry == "wait") ++waits;
    }
    const std::vector<std::string> expected = {
        "fill 0", "use 0", "pass",   "fill 1", "use 1", "pass",   "fill 0", "wait",  //
        "use 0",  "pass",  "fill 1", "use 1",  "pass",  "fill 0", "wait",            //
        "use 0",  "pass",  "fill 1", "use 1",  "pass",  "fill 0", "wait",            //
        "use 0",  "pass",  "fill 1", "use 1",  "pass",  "wait"};  // no batch after the last
    CHECK(steps == expected);
}
