#include "report/run_folder.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using report::RunFolder;

namespace {

const report::RunDescription description{"terrane 0.1.0", {"train", "-c", "x"}, "no MPI", {"here"}, 2};

int error_number(const std::filesystem::path& path, const config::Resolved& resolved) {
    try {
        RunFolder folder(path, resolved, description);
    } catch (const Error& error) {
        CHECK(error.exit_code() == ExitCode::cannot_create);
        return error.number();
    }
    return 0;
}

}  // namespace

TEST_CASE("a run folder records command, configuration and events, and goes on when opened again",
          "[report]") {
    test::TemporaryFolder temporary;
    const auto path = temporary.path() / "runs" / "first";
    config::Resolved resolved;
    report::EpochRecord record;
    record.epoch = 1;
    record.scores = report::Scores{1, 0.5, 0.25, 0.3, 0.1, std::vector<report::ClassScores>(2)};
    record.scores->classes[0].iou = 0.25;
    {
        RunFolder folder(path, resolved, description);
        CHECK_FALSE(folder.continued());
        folder.event("epoch", R"({"epoch":1})");
        folder.metrics(record, {"a", "b,c"});
        folder.metrics(record, {"a", "b,c"});
    }
    {
        RunFolder folder(path, resolved, description);
        CHECK(folder.continued());
        folder.metrics(record, {"a", "b,c"});
    }
    const auto run = nlohmann::json::parse(read_text_file(path / "run.json"));
    CHECK(run["starts"].size() == 2);
    CHECK(run["starts"][0]["command"] == std::vector<std::string>{"train", "-c", "x"});
    CHECK_NOTHROW(config::resolve({{"config.toml", "/", read_text_file(path / "config.toml")}}, {}, {}));
    const std::string row = "1,0,0,,0.5,0.25,0.3,0.1,0,0,0,0,,,0.25,\n";
    CHECK(read_text_file(path / "metrics.csv") ==
          "epoch,step,train_loss,val_loss,oa,miou,mf1,kappa,tiles_per_second,io_wait,memory_gib,seconds,"
          "imbalance,bus_gb_per_s,iou a,"
          "\"iou b,c\"\n" +
              row + row + row);
    const std::string events = read_text_file(path / "events.jsonl");
    CHECK_THAT(events, terrane::test::contains("\"event\":\"epoch\",\"epoch\":1}") &&
                           terrane::test::contains("\"continued\""));
    CHECK(std::filesystem::exists(path / "log" / "rank_0.log"));
}

TEST_CASE("a run that goes on from a step has one row per step, whatever it wrote before it was killed",
          "[report]") {
    test::TemporaryFolder temporary;
    const auto path = temporary.path() / "run";
    config::Resolved resolved;
    const auto write = [&](RunFolder& folder, std::int64_t first, std::int64_t last) {
        report::EpochRecord evaluation;
        report::StepRecord step;
        for (evaluation.step = step.step = first; step.step <= last; evaluation.step = ++step.step) {
            step.loss = 0.5;
            folder.step(step);
            if (step.step % 2 == 0) folder.metrics(evaluation, {"a,\nb"});
        }
    };
    {
        RunFolder folder(path, resolved, description);
        write(folder, 1, 11);
    }
    const std::string header =
        "step,epoch,loss,lr,grad_norm,tiles_per_second,io_wait,seconds,"
        "gpu_busy_percent,gpu_memory_gib,gpu_temperature_c,gpu_power_w,gpu_clock_mhz\n";
    const auto cut_off = [&](const char* name) {
        const std::string whole = read_text_file(path / name);
        write_file_atomically(path / name, whole + "12,1,0.2");
    };
    cut_off("steps.csv");
    cut_off("metrics.csv");
    cut_off("events.jsonl");
    {
        RunFolder folder(path, resolved, description);
        CHECK_THAT(read_text_file(path / "steps.csv"),
                   Catch::Matchers::EndsWith("\n11,1,0.5,0,0,0,0,0,,,,,\n"));
        CHECK_THAT(read_text_file(path / "events.jsonl"), !test::contains("12,1"));
        folder.go_on_after(8);
        CHECK_THAT(read_text_file(path / "steps.csv"),
                   Catch::Matchers::EndsWith("\n8,1,0.5,0,0,0,0,0,,,,,\n"));
        write(folder, 9, 10);
    }
    std::string expected = header;
    for (int step = 1; step <= 10; ++step) expected += fmt::format("{},1,0.5,0,0,0,0,0,,,,,\n", step);
    CHECK(read_text_file(path / "steps.csv") == expected);
    std::string evaluations;
    for (int step = 2; step <= 10; step += 2) evaluations += fmt::format("0,{},0,,,,,,0,0,0,0,,,\n", step);
    CHECK_THAT(read_text_file(path / "metrics.csv"),
               Catch::Matchers::EndsWith(",\"iou a,\nb\"\n" + evaluations));

    RunFolder folder(path, resolved, description);
    folder.go_on_after(0);
    CHECK(read_text_file(path / "steps.csv") == header);
    report::StepRecord step{.step = 1};
    step.gpu = {.busy = 87, .memory_gib = 41.25, .power = 640.5};
    folder.step(step);
    CHECK(read_text_file(path / "steps.csv") == header + "1,1,0,0,0,0,0,0,87,41.25,,640.5,\n");
}

TEST_CASE("a folder of something else, or of a run that must not be continued, is refused", "[report]") {
    test::TemporaryFolder temporary;
    config::Resolved resolved;
    write_file_atomically(temporary.path() / "thesis.tex", "x");
    CHECK(error_number(temporary.path(), resolved) == 904);
    resolved.config.runtime.overwrite = true;
    CHECK(error_number(temporary.path(), resolved) == 904);
    CHECK(std::filesystem::exists(temporary.path() / "thesis.tex"));

    const auto run = temporary.path() / "run";
    resolved.config.train.resume = "never";
    resolved.config.runtime.overwrite = false;
    CHECK(error_number(run, resolved) == 0);
    CHECK(error_number(run, resolved) == 904);
    resolved.config.runtime.overwrite = true;
    std::filesystem::create_directories(run / "ckpt" / "last");
    write_file_atomically(run / "last_collectives_rank_1.txt", "of a broken job");
    CHECK(error_number(run, resolved) == 0);
    CHECK_FALSE(std::filesystem::exists(run / "ckpt"));

    write_file_atomically(run / "run.json", "{}");
    resolved.config.runtime.overwrite = false;
    resolved.config.train.resume = "auto";
    CHECK(error_number(run, resolved) == 904);
}

TEST_CASE("two trainings in one folder: the second is refused and names the first", "[report]") {
    test::TemporaryFolder temporary;
    const auto path = temporary.path() / "run";
    {
        const auto lock = RunFolder::lock(path);
        try {
            RunFolder::lock(path);
            FAIL("not refused");
        } catch (const Error& error) {
            CHECK(error.number() == 906);
            CHECK_THAT(error.message(), test::contains(process_tag()) && test::contains(path.string()));
        }
        CHECK(error_number(path, {}) == 0);  // the lock's file does not count as somebody else's
    }
    CHECK_NOTHROW(RunFolder::lock(path));
    CHECK(error_number(path, {}) == 0);
}

TEST_CASE("a folder that can't be created is an error", "[report]") {
    config::Resolved resolved;
    CHECK(error_number("/proc/terrane", resolved) == 901);
}

TEST_CASE("a run goes where -o says, else below runs/ with the name of the config's folder", "[report]") {
    config::Config config;
    config.folder = "/data/potsdam";
    CHECK_THAT(RunFolder::choose(config).string(), Catch::Matchers::StartsWith("runs/potsdam/20"));
    config.runtime.out = "runs/first";
    CHECK(RunFolder::choose(config) == "runs/first");
}
