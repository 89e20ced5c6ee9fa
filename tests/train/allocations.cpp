#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "cpu/backend.hpp"
#include "support/catch.hpp"
#include "support/counted_new.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

std::atomic<std::int64_t> allocations{0};  // of this program's code
std::atomic<std::int64_t> library_allocations{0};
std::atomic<bool> counting{false};

// oneDNN makes a table of arguments in each of its execute calls, with its own operator new
// (docs/adr/0006-allocations-inside-onednn.md).
bool is_of_onednn(const void* caller) {
    Dl_info place{};
    return ::dladdr(caller, &place) != 0 && place.dli_fname != nullptr &&
           std::strstr(place.dli_fname, "libdnnl") != nullptr;
}

}  // namespace

void test::count_allocation(std::size_t, const void* caller) {
    if (counting) (is_of_onednn(caller) ? library_allocations : allocations).fetch_add(1);
}

TEST_CASE("after the first steps a training step allocates nothing of ours, the reading of tiles included") {
    test::SyntheticSource training(10, 32, 3);
    const auto backend = cpu::make_cpu_backend();
    const auto communicator = comm::self_communicator();
    test::TemporaryFolder folder;
    config::Config config = test::small_config();
    config.train.steps = 12;
    config.train.batch = 2;
    config.checkpoint.every = 100;
    config.model.dropout = 0.2;
    config.augment.noise = 0.1;
    train::TrainingObserver silent;
    train::TrainingSetup setup{config, training, nullptr, *backend, *communicator, folder.path(), silent};
    std::vector<std::int64_t> counts;  // at the end of each step
    std::vector<std::int64_t> library_counts;
    counts.reserve(32);
    library_counts.reserve(32);
    setup.stop_requested = [&] {
        counts.push_back(allocations);
        library_counts.push_back(library_allocations);
        counting = counts.size() >= 4 && counts.size() < 12;
        return false;
    };
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();
    REQUIRE(counts.size() == 12);
    CHECK(counts.back() == 0);
    // The library's are a constant of the network: none is lost, and none piles up.
    const std::int64_t per_step = library_counts[5] - library_counts[4];
    for (std::size_t step = 5; step < library_counts.size(); ++step)
        CHECK(library_counts[step] - library_counts[step - 1] == per_step);
    std::printf("allocations per step: 0 of terrane, %lld inside oneDNN\n", static_cast<long long>(per_step));
    counting = true;
    ::operator delete(::operator new(1));  // the counter does count
    counting = false;
    CHECK(allocations == 1);
}
