#include "app/backend_choice.hpp"
#include "app/gpu_selection.hpp"
#include "app/gpu_watch.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("ranks that share a GPU are found by its id, whatever their order", "[app]") {
    using Groups = std::vector<std::vector<int>>;
    CHECK(app::ranks_that_share({"GPU-a", "GPU-b", "GPU-c"}).empty());
    CHECK(app::ranks_that_share({"GPU-b", "GPU-a", "GPU-b", "GPU-c", "GPU-a"}) == Groups{{1, 4}, {0, 2}});
    CHECK(app::ranks_that_share({"", "", ""}).empty());  // CPUs
}

TEST_CASE("runtime.gpu_ids show CUDA the GPUs they name, in their order, of those in sight", "[app]") {
    const auto shown = [](const std::vector<std::int64_t>& ids, const app::GpuSight& sight, int ranks = 1) {
        return app::select_gpus(ids, sight, ranks).value_or("unchanged");
    };
    CHECK(shown({0}, {}) == "0");
    CHECK(shown({3}, {.machine = 4}) == "3");
    CHECK(shown({1}, {.visible = "5,GPU-7ab,6"}) == "GPU-7ab");
    CHECK(shown({2, 0}, {.visible = "5,GPU-7ab,6"}, 2) == "6,5");
    CHECK(shown({0}, {.visible = "7", .machine = 8}) == "7");
    // There is nothing to choose: no GPU, or one that the launcher chose for each of several ranks.
    CHECK(shown({0}, {.visible = ""}) == "unchanged");
    CHECK(shown({0}, {.machine = 0}) == "unchanged");
    CHECK(shown({0, 1}, {.visible = "3"}, 2) == "unchanged");
}

TEST_CASE("runtime.gpu_ids that can't be had are refused with the numbers that can", "[app]") {
    CHECK_THROWS_WITH(app::select_gpus({2}, {.visible = "5,6"}, 1),
                      terrane::test::contains("error[E0715]") && terrane::test::contains("GPU 2") &&
                          terrane::test::contains("\"5,6\" shows 2"));
    CHECK_THROWS_WITH(app::select_gpus({0, 4}, {.machine = 4}, 2),
                      terrane::test::contains("error[E0715]") && terrane::test::contains("GPU 4") &&
                          terrane::test::contains("this machine has 4"));
    const std::vector<std::string> hosts{"a", "b", "b"};
    CHECK_NOTHROW(app::require_gpu_per_rank({1, 0}, hosts));
    CHECK_NOTHROW(app::require_gpu_per_rank({1, 0, 5}, hosts));
    CHECK_THROWS_WITH(app::require_gpu_per_rank({1}, hosts),
                      terrane::test::contains("error[E0715]") &&
                          terrane::test::contains("b has more ranks") &&
                          terrane::test::contains("-s runtime.gpu_ids=[]"));
}

TEST_CASE("what the driver tells of the own GPU goes into the tables, the rest stays empty", "[app]") {
    const app::GpuWatch first("GPU-first", nvml::Library::open(TERRANE_FAKE_NVML));
    const report::GpuRecord all = app::gpu_record(first.read());
    CHECK((all.busy == 87.0 && all.temperature == 61.0 && all.clock == 1755.0));
    CHECK(all.power.value_or(0) == Approx(640).epsilon(0.01));
    CHECK(all.memory_gib.value_or(0) == Approx(41).epsilon(0.01));
    const app::GpuWatch second("GPU-second", nvml::Library::open(TERRANE_FAKE_NVML));
    const report::GpuRecord some = app::gpu_record(second.read());
    CHECK((some.busy == 3.0 && some.clock == 1755.0 && !some.temperature && !some.power));
    const report::GpuRecord none = app::gpu_record(app::GpuWatch("").read());
    CHECK((!none.busy && !none.memory_gib && !none.temperature && !none.power && !none.clock));
}
