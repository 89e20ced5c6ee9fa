#include "app/launch_options.hpp"

#include <map>

#include "app/straggler_watch.hpp"
#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;
using terrane::test::contains;

namespace {

comm::Environment environment(const std::map<std::string, std::string>& values) {
    return [values](const std::string& name) {
        const auto found = values.find(name);
        return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
}

app::LaunchOptions options(const std::vector<std::string>& words,
                           const std::map<std::string, std::string>& variables = {}) {
    std::vector<std::string> arguments{"doctor"};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return app::launch_options(app::parse_command_line(arguments), environment(variables));
}

}  // namespace

TEST_CASE("what the launch needs is read from the command line before any file", "[app]") {
    const app::LaunchOptions nothing = options({});
    CHECK(nothing.request.launcher == "auto");
    CHECK(nothing.settings.collective_timeout.count() == 1800);
    CHECK(nothing.settings.heartbeat_timeout.count() == 30);
    const app::LaunchOptions all =
        options({"--launcher", "env", "--master-port", "4000", "--dist-url", "env://", "--collective-timeout",
                 "7", "--heartbeat-timeout", "3"},
                {{"NCCL_TIMEOUT", "60"}});
    CHECK(all.request.launcher == "env");
    CHECK(all.request.master_port == 4000);
    CHECK(all.request.dist_url == "env://");
    CHECK(all.settings.collective_timeout.count() == 7);
    CHECK(all.settings.heartbeat_timeout.count() == 3);
    CHECK_FALSE(nothing.request.distributed);
    CHECK_FALSE(nothing.settings.trace_collectives);
    CHECK(options({"--trace-barriers"}).settings.trace_collectives);
    CHECK_THROWS_WITH(options({"--launcher", "tensorflow"}), contains("E0506"));
    CHECK_THROWS_WITH(options({"--master-port", "70000"}), contains("E0505"));
}

TEST_CASE("options of PyTorch's scripts are understood, with underscores as well", "[app]") {
    const app::LaunchOptions all = options({"--distributed", "--world_size", "4", "--local_rank=2",
                                            "--launcher", "pytorch", "--master_port=4000"});
    CHECK(all.request.distributed);
    CHECK(all.request.world_size == 4);
    CHECK(all.request.local_rank == 2);
    CHECK(all.request.launcher == "pytorch");
    CHECK(all.request.master_port == 4000);
    CHECK(options({"--local-rank=-1"}).request.local_rank == -1);
    for (const char* wrong : {"--local_rank=x", "--local_rank=-2", "--local_rank="})
        CHECK_THROWS_WITH(options({wrong}), contains("E0103"));
    CHECK_THROWS_WITH(options({"--world_size=-1"}), contains("E0103"));
    CHECK_THROWS_WITH(options({"--world-size=0"}), contains("E0103"));
    CHECK_THROWS_WITH(options({"--world_sizes=1"}), contains("E0102"));
}

TEST_CASE("NCCL_TIMEOUT is the collective timeout where nothing else sets it", "[app]") {
    CHECK(options({}, {{"NCCL_TIMEOUT", "60"}}).settings.collective_timeout.count() == 60);
    for (const char* wrong : {"", "x", "-1", "0", "60s", "nan"})
        CHECK_THROWS_WITH(options({}, {{"NCCL_TIMEOUT", wrong}}),
                          contains("E0123") && contains("NCCL_TIMEOUT"));
}

TEST_CASE("what happens when a rank is lost is said by PyTorch's numbers, too", "[app]") {
    using comm::LossResponse;
    CHECK(options({}).settings.on_loss == LossResponse::abort_and_exit);
    CHECK(options({"--async-errors", "off"}).settings.on_loss == LossResponse::none);
    CHECK(options({"--async-errors", "exit"}).settings.on_loss == LossResponse::exit);
    CHECK_THROWS_WITH(options({"--async-errors", "1"}), contains("E0103"));
    for (const char* name : {"TORCH_NCCL_ASYNC_ERROR_HANDLING", "NCCL_ASYNC_ERROR_HANDLING"}) {
        CHECK(options({}, {{name, "0"}}).settings.on_loss == LossResponse::none);
        CHECK(options({}, {{name, "1"}}).settings.on_loss == LossResponse::abort_and_exit);
        CHECK(options({}, {{name, "2"}}).settings.on_loss == LossResponse::abort);
        CHECK(options({}, {{name, "3"}}).settings.on_loss == LossResponse::exit);
        CHECK(options({"--async-errors", "abort"}, {{name, "3"}}).settings.on_loss == LossResponse::abort);
        for (const char* wrong : {"", "4", "-1", "11", "x"})
            CHECK_THROWS_WITH(options({}, {{name, wrong}}), contains("E0123") && contains(name));
    }
}

TEST_CASE("TORCH_DISTRIBUTED_DEBUG=DETAIL lets ranks compare collectives where the option is not given",
          "[app]") {
    CHECK_FALSE(options({}).settings.check_collectives);
    CHECK_FALSE(options({}, {{"TORCH_DISTRIBUTED_DEBUG", "INFO"}}).settings.check_collectives);
    CHECK(options({}, {{"TORCH_DISTRIBUTED_DEBUG", "DETAIL"}}).settings.check_collectives);
    CHECK(options({"--dist-debug", "detail"}).settings.check_collectives);
    CHECK_FALSE(
        options({"--dist-debug", "off"}, {{"TORCH_DISTRIBUTED_DEBUG", "DETAIL"}}).settings.check_collectives);
    CHECK_THROWS_WITH(options({"--dist-debug", "loud"}), contains("E0506"));
}

TEST_CASE("how evenly ranks work and how fast their gradients travel", "[app]") {
    const app::Balance balance = app::balance_of({{6, 6, {400'000'000, 0.5}},
                                                  {12, 0, {400'000'000, 0.2}},
                                                  {6, 6, {400'000'000, 0.5}},
                                                  {8, 4, {400'000'000, 0.4}}},
                                                 {"a", "a", "b", "b"});
    CHECK(balance.imbalance == Approx(1.5));
    CHECK(balance.slowest == 1);
    CHECK(balance.waiting == Approx(1.0 / 3));
    CHECK(balance.gigabytes_per_second == Approx(1.5 * 0.4 / 0.2));
    CHECK(balance.text({"a", "a", "b", "b"}) ==
          "imbalance 1.50 (rank 1 on a), 33 % of the time waiting, 400.0 MB of gradients at 3 GB/s");
    CHECK_THAT(balance.straggler, contains("rank 1 on a needs"));
    CHECK(app::balance_of({{1, 0, {}}, {1, 0, {}}}, {"a", "b"}).text({"a", "b"}) ==
          "imbalance 1.00 (rank 0 on a), 0 % of the time waiting");
}

TEST_CASE("the rank whose own work takes longest is named, unless the difference is small", "[app]") {
    const std::vector<std::string> hosts{"a", "a", "b", "b"};
    CHECK(app::name_straggler({{10, 1}, {10.5, 0.5}, {9.8, 1.2}, {10.2, 0.8}}, hosts).empty());
    CHECK(app::name_straggler({{10, 0}}, {"a"}).empty());
    CHECK(app::name_straggler({{6, 6}, {6.5, 5.5}, {12, 0}, {6.2, 5.8}}, hosts) ==
          "rank 2 on b needs 1.9 times as long for its work as the median of the others (12.0 s against 6.2 "
          "s); they "
          "wait for it");
    CHECK_THAT(app::name_straggler({{5, 5}, {10, 0}}, {"a", "b"}), contains("rank 1 on b needs 2.0 times"));
    CHECK(app::name_straggler({{0.001, 10}, {0.01, 10}}, {"a", "b"}).empty());
}
