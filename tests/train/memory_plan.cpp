#include "train/memory_plan.hpp"

#include "base/error.hpp"
#include "own_memory.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

struct Planned {
    explicit Planned(std::int64_t global_batch) { config.train.global_batch = global_batch; }
    train::TrainingSetup setup() {
        return {config, training, &validation, *backend, *communicator, folder.path(), nobody};
    }
    train::MemoryPlan plan() {
        const train::TrainingSetup whole = setup();
        return train::Trainer(whole).plan().memory;
    }

    config::Config config = test::small_config();
    test::SyntheticSource training{16, 32, 3};
    test::SyntheticSource validation{3, 32, 3};
    std::unique_ptr<device::Backend> backend = ref::make_ref_backend();
    std::unique_ptr<comm::Communicator> communicator = comm::self_communicator();
    train::TrainingObserver nobody;
    test::TemporaryFolder folder;
};

}  // namespace

TEST_CASE(
    "a run over its budget is refused with the largest batch that accumulates to the same global batch") {
    Planned run(12);
    const train::MemoryPlan whole = run.plan();
    REQUIRE_NOTHROW(train::require_memory(run.setup(), whole, whole.total()));

    // Between what 4 and what 6 samples at once need: 5 does not divide 12.
    run.config.train.batch = 4;
    const std::size_t four = run.plan().total();
    run.config.train.batch = 6;
    const std::size_t six = run.plan().total();
    REQUIRE(four < six);
    REQUIRE(six < whole.total());
    run.config.train.batch = 0;
    CHECK(train::largest_batch_within(run.setup(), six - 1) == 4);
    CHECK(train::largest_batch_within(run.setup(), six) == 6);
    CHECK(train::largest_batch_within(run.setup(), four / 8) == 0);

    try {
        train::require_memory(run.setup(), whole, six - 1);
        FAIL("not refused");
    } catch (const Error& error) {
        CHECK(error.number() == 751);
        CHECK(error.exit_code() == ExitCode::device_unavailable);
        CHECK(error.fix().find("train.batch=4") != std::string::npos);
        CHECK(error.message().find("training programs") != std::string::npos);
    }
}

TEST_CASE("a device with memory of its own is asked before anything is allocated there") {
    Planned run(12);
    auto inner = std::move(run.backend);
    run.backend = std::make_unique<test::OwnMemory>(*inner);
    const train::MemoryPlan plan = train::require_device_memory(run.setup(), std::size_t{1} << 40);
    CHECK(plan.total(train::MemoryPlan::Place::device) + plan.total(train::MemoryPlan::Place::host) ==
          plan.total());
    CHECK(plan.total(train::MemoryPlan::Place::host) > 0);
    // Room for all on the device is enough, though the host's parts come on top; a twentieth is left to
    // libraries.
    const std::size_t needed = plan.total(train::MemoryPlan::Place::device);
    REQUIRE_NOTHROW(train::require_device_memory(run.setup(), needed / 19 * 20 + 40));
    try {
        train::require_device_memory(run.setup(), needed);
        FAIL("not refused");
    } catch (const Error& error) {
        CHECK(error.number() == 751);
        CHECK(error.message().find("GPU memory") != std::string::npos);
        CHECK(error.fix().find("train.batch=6") != std::string::npos);
    }
}
