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
    std::size_t skips = 0;
};

Trained trained_with(bool own_memory, const config::Config& config) {
    test::Run run;
    auto inner = ref::make_ref_backend();
    auto device = std::make_unique<test::OwnMemory>(*inner);
    test::OwnMemory& log = *device;
    if (own_memory) run.backend = std::move(device);
    const test::TemporaryFolder folder;
    run.train(config, folder.path());
    Trained trained{run.model, log.log, {}, run.recorder.skips.size()};
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

TEST_CASE("a step is queued while the one before is computed, and the host waits once per update") {
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
        const bool has_begun = !steps.empty();
        if (!has_begun && entry != "fill 0") continue;  // before the training begins
        if (entry == "losses" || entry.starts_with("use") || entry.starts_with("fill") || entry == "wait" ||
            entry == "weights")
            steps.push_back(entry);
        if (entry == "wait") ++waits;
    }
    std::vector<std::string> expected;
    for (int step = 0; step < 4; ++step) {
        if (step == 0) expected.emplace_back("fill 0");
        for (const char* entry : {"use 0", "losses", "fill 1", "use 1", "losses", "weights"})
            expected.emplace_back(entry);
        if (step < 3) expected.emplace_back("fill 0");  // no batch after the last
        if (step > 0) expected.emplace_back("wait");    // for the step before
    }
    expected.emplace_back("wait");
    CHECK(steps == expected);
}

TEST_CASE("where sums are queued, those of a step are made once more at the end of an epoch, and timed") {
    /// A second rank that brings nothing.
    struct Silent final : device::Collectives {
        int rank() const override { return 0; }
        int size() const override { return 2; }
        bool are_queued() const override { return true; }
        void sum(std::span<float>) override {}
        void sum(std::span<double>) override {}
        void sum(std::span<std::int64_t>) override {}
        Ticket start_sum(std::span<float> values) override {
            whole = std::max(whole, values.size());
            return 0;
        }
        void wait(Ticket) override {}
        std::size_t whole = 0;
    } sums;
    config::Config config = test::small_config();
    config.train.steps = 5;
    config.eval.every = 0;
    test::Run run(8);  // two steps an epoch
    auto inner = ref::make_ref_backend();
    test::OwnMemory device(*inner);
    const test::TemporaryFolder folder, plain;
    train::TrainingSetup setup{config,        run.training, nullptr, device, *run.communicator,
                               folder.path(), run.recorder};
    setup.device_sums = &sums;
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    REQUIRE(run.recorder.steps.size() == 5);
    for (const train::StepReport& step : run.recorder.steps) {
        CHECK(step.gradient_sum.has_value() == (step.step % 2 == 0));
        if (!step.gradient_sum) continue;
        CHECK(step.gradient_sum->bytes ==
              static_cast<double>(trainer.store().gradient_values().size_bytes()));
        CHECK(step.gradient_sum->bus_bandwidth > 0);
    }
    CHECK(sums.whole == trainer.store().gradient_values().size());
    // The training itself is the one without.
    test::Run alone(8);
    alone.train(config, plain.path());
    CHECK(test::bytes_of(trainer.store()) == alone.model);
}

TEST_CASE("an update that is not finite is left out alike by a device with a queue and by one without") {
    config::Config config = test::small_config();
    config.model.norm = "batch";
    config.train.steps = 4;
    config.eval.every = 0;
    const auto fault = GENERATE("nan_gradient@step=2", "infinite_loss@step=3");
    CAPTURE(fault);
    std::vector<Trained> both;
    for (const bool own_memory : {false, true}) {
        const test::Faults faults(fault);
        both.push_back(trained_with(own_memory, config));
    }
    CHECK(both[0].model == both[1].model);
    CHECK(both[0].skips == 1);
    CHECK(both[1].skips == 1);
}
