#include "app/backend_choice.hpp"
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

TEST_CASE("gpu_ids show a rank alone one GPU of those it may see", "[app]") {
    CHECK(app::visible_gpu("0", 1, std::nullopt) == "0");
    CHECK(app::visible_gpu("3", 1, std::nullopt) == "3");
    CHECK(app::visible_gpu("1", 1, "5,GPU-7ab,6") == "GPU-7ab");
    CHECK(app::visible_gpu("0,1", 2, "5,6") == "5,6");
    for (const char* wrong : {"", "x", "-1", "1,,2", "99999"})
        CHECK_THROWS_AS(app::visible_gpu(wrong, 1, std::nullopt), Error);
    CHECK_THROWS_WITH(app::visible_gpu("2", 1, "5,6"),
                      terrane::test::contains("error[E0715]") && terrane::test::contains("\"5,6\" shows 2"));
    CHECK_THROWS_WITH(app::visible_gpu("0", 1, ""), terrane::test::contains("error[E0715]"));
    CHECK_THROWS_WITH(app::visible_gpu("0,2", 1, std::nullopt),
                      terrane::test::contains("error[E0715]") &&
                          terrane::test::contains("CUDA_VISIBLE_DEVICES=0,2 mpirun -n 2"));
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
