#include "nvml/library.hpp"

#include "support/catch.hpp"

using namespace terrane;

TEST_CASE("GPUs are described by what the driver tells, without what it refuses", "[nvml]") {
    const auto library = nvml::Library::open(TERRANE_FAKE_NVML);
    REQUIRE(library != nullptr);
    CHECK(library->driver() == "580.65.06");
    CHECK(library->cuda_version() == 13000);
    const std::vector<nvml::Gpu> gpus = library->gpus();
    REQUIRE(gpus.size() == 2);
    CHECK((gpus[0].uuid == "GPU-first" && gpus[1].uuid == "GPU-second" && gpus[1].index == 1));
    CHECK(nvml::describe(gpus[0]) ==
          "NVIDIA H100 80GB HBM3, 80.0 GiB, 700 W, 1980 MHz, PCIe 5 x16, 18 NVLinks");
    CHECK(nvml::describe(gpus[1]) == "NVIDIA small, 8.0 GiB, PCIe 5 x4");
    CHECK(nvml::describe(library->read("GPU-first")) == "87 % busy, 41.0 GiB used, 61 C, 640 W, 1755 MHz");
    CHECK(nvml::describe(library->read("GPU-second")) == "3 % busy, 1.0 GiB used, 1755 MHz");
    CHECK(library->read("GPU-third").empty());
}

TEST_CASE("where the library or the driver is missing there is nothing to describe", "[nvml]") {
    CHECK(nvml::Library::open("libthere-is-no-such-library.so.1") == nullptr);
    CHECK(nvml::Library::open(TERRANE_NVML_WITHOUT_DRIVER) == nullptr);
}
