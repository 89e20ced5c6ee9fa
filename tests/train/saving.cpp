// Checkpoints that can't be written, and those that are written while training goes on.
#include <atomic>
#include <thread>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;
using test::Run;

namespace {

config::Config saving_every_step(std::int64_t steps) {
    config::Config config = test::small_config();
    config.train.steps = steps;
    config.eval.every = 0;
    config.checkpoint.every = 1;
    return config;
}

}  // namespace

TEST_CASE("a checkpoint that can't be written costs nothing but itself and is tried again") {
    const auto fault =
        GENERATE("io_error@save=2;error=ENOSPC;operation=write", "io_error@save=2;operation=fsync",
                 "io_error@save=2;error=EROFS;operation=create", "io_error@save=2;operation=rename",
                 "io_error@save=2;operation=link");
    CAPTURE(fault);
    test::TemporaryFolder folder, plain;
    config::Config config = saving_every_step(6);
    config.checkpoint.every = 2;
    const test::Faults faults(fault);
    Run run;
    run.train(config, folder.path());
    CHECK(run.outcome == train::Trainer::Outcome::finished);
    std::vector<std::int64_t> failed, written;
    for (const train::SaveResult& save : run.recorder.saves)
        (save.failure.empty() ? written : failed).push_back(save.step);
    CHECK(failed == std::vector<std::int64_t>{4});
    CHECK(written.front() == 2);
    CHECK(written.back() == 6);
    const train::CheckpointFolder checkpoints(folder.path());
    CHECK(checkpoints.newest_good() == 6);
    for (const std::int64_t step : checkpoints.steps())
        CHECK_NOTHROW(train::verify_checkpoint(checkpoints.path_of(step)));
    CHECK(run.model == Run().train(config, plain.path()).model);
}

TEST_CASE("a write that takes only part of its bytes is continued") {
    test::TemporaryFolder folder;
    const test::Faults faults("short_write@save=1");
    Run run;
    run.train(saving_every_step(1), folder.path());
    CHECK(run.recorder.saves.at(0).failure.empty());
    CHECK(train::CheckpointFolder(folder.path()).newest_good() == 1);
}

TEST_CASE("if the last checkpoint can't be written, the run ends with code 74 and the earlier ones stay") {
    test::TemporaryFolder folder;
    config::Config config = saving_every_step(3);
    const test::Faults faults("io_error@save=3;error=ENOSPC;operation=write;times=9");
    Run run;
    try {
        run.train(config, folder.path());
        FAIL("the failure went unnoticed");
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::io_error);
        CHECK(error.number() == 612);
        CHECK_THAT(error.message(),
                   test::contains("step 3 was not saved") && test::contains("No space left"));
    }
    CHECK(train::CheckpointFolder(folder.path()).newest_good() == 2);
    fault::disarm();
    Run again;
    again.train(config, folder.path());
    CHECK(again.recorder.start.first_step == 2);
    CHECK(again.recorder.steps.size() == 1);
}

TEST_CASE("a failed checkpoint of the best model becomes the best when its second attempt succeeds") {
    test::TemporaryFolder folder;
    config::Config config = saving_every_step(3);
    config.checkpoint.every = 100;
    config.eval.every_steps = 1;
    config.model.norm = "group";
    config.optim.lr = 1e-30;  // the first score stays the best
    const test::Faults faults("io_error@save=1");
    Run run;
    run.train(config, folder.path());
    REQUIRE(run.recorder.evaluations[0].best);
    REQUIRE_FALSE(run.recorder.evaluations[1].best);
    CHECK(run.recorder.saves.at(0).failure != "");
    const train::CheckpointFolder checkpoints(folder.path());
    CHECK(checkpoints.linked("best") == 1);
    CHECK(checkpoints.linked("last") == 3);
}

TEST_CASE("training goes on while a checkpoint is written") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    train::CheckpointWriter writer(checkpoints, 2);
    std::atomic<bool> may_end{false};
    writer.start({7, true, [&](const std::filesystem::path&) {
                      while (!may_end) std::this_thread::yield();
                  }});
    CHECK(writer.is_busy());
    CHECK_FALSE(writer.result());
    may_end = true;
    const auto result = writer.wait();
    REQUIRE(result);
    CHECK(result->step == 7);
    CHECK(result->failure == "");
    CHECK_FALSE(writer.wait());
    CHECK(checkpoints.linked("best") == 7);
}

TEST_CASE("what is being written at the end of a run becomes whole") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    {
        train::CheckpointWriter writer(checkpoints, 2);
        writer.start({7, false, [](const std::filesystem::path&) {
                          std::this_thread::sleep_for(std::chrono::milliseconds(20));
                      }});
    }
    CHECK(checkpoints.steps() == std::vector<std::int64_t>{7});
}

TEST_CASE("the time limit leaves room for a step and a checkpoint") {
    test::TemporaryFolder folder;
    config::Config config = saving_every_step(1000);
    config.checkpoint.every = 1000;
    Run run;
    train::TrainingSetup setup{config,        run.training, nullptr, *run.backend, *run.communicator,
                               folder.path(), run.recorder};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    setup.deadline = deadline;
    train::Trainer trainer(setup);
    trainer.prepare();
    CHECK(trainer.run() == train::Trainer::Outcome::stopped_early);
    REQUIRE(run.recorder.stops.size() == 1);
    CHECK(run.recorder.stops[0].cause == "time");
    CHECK(run.recorder.steps.size() < 1000);
    CHECK(train::CheckpointFolder(folder.path()).newest_good() == run.recorder.stops[0].step);
}
