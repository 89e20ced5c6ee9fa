#include "app/device_choice.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"

using namespace terrane;
using app::GpuFinding;

namespace {

const GpuFinding gpu{""};
const GpuFinding none{"No CUDA device can be used: no NVIDIA driver is loaded"};
const GpuFinding old{"NVIDIA's driver runs CUDA up to 12.4, but this terrane was built with CUDA 13.0"};

}  // namespace

TEST_CASE("auto takes the GPU where every rank has one that it can use", "[app]") {
    const app::DeviceChoice alone = app::choose_device({gpu}, {"node1"});
    CHECK(alone.device == "cuda");
    CHECK(alone.why == "auto: there is a GPU that can be used");
    const app::DeviceChoice all = app::choose_device({gpu, gpu, gpu}, {"node1", "node1", "node2"});
    CHECK(all.device == "cuda");
    CHECK(all.why == "auto: every rank has a GPU that it can use");
}

TEST_CASE("auto takes the CPU where no rank has a usable GPU, and says why", "[app]") {
    const app::DeviceChoice without = app::choose_device({none}, {"node1"});
    CHECK(without.device == "cpu");
    CHECK(without.why == "auto: " + none.why_not);
    // There is one, but not for this build.
    CHECK(app::choose_device({old}, {"node1"}).device == "cpu");
    CHECK(app::choose_device({old, none}, {"node1", "node2"}).why == "auto: " + old.why_not);
}

TEST_CASE("auto refuses a mixture and names the ranks without a GPU, their hosts and reasons", "[app]") {
    try {
        app::choose_device({gpu, none, gpu, old}, {"node1", "node1", "node2", "node3"});
        FAIL("a mixture was accepted");
    } catch (const Error& error) {
        CHECK((error.number() == 719 && error.exit_code() == ExitCode::device_unavailable));
        CHECK_THAT(error.message(), test::contains("2 of 4 ranks have a GPU"));
        CHECK_THAT(error.message(), test::contains("rank 1 on node1 (" + none.why_not + ")"));
        CHECK_THAT(error.message(), test::contains("rank 3 on node3 (" + old.why_not + ")"));
        CHECK_FALSE(error.message().find("rank 0 on") != std::string::npos);
        CHECK_THAT(error.fix(), test::contains("--device cpu"));
    }
    // A large job gets a short message.
    std::vector<GpuFinding> many(100, none);
    many.front() = gpu;
    try {
        app::choose_device(many, std::vector<std::string>(100, "node"));
        FAIL("a mixture was accepted");
    } catch (const Error& error) {
        CHECK_THAT(error.message(), test::contains("91 more"));
        CHECK(test::occurrences(error.message(), "rank ") == 8);
    }
}
