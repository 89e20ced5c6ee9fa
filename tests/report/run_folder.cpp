#include "report/run_folder.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
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
    const std::string row = "1,0,0,,0.5,0.25,0.3,0.1,0,0,0,0,0.25,\n";
    CHECK(
        read_text_file(path / "metrics.csv") ==
        "epoch,step,train_loss,val_loss,oa,miou,mf1,kappa,tiles_per_second,io_wait,memory_gib,seconds,iou a,"
        "\"iou b,c\"\n" +
            row + row + row);
    const std::string events = read_text_file(path / "events.jsonl");
    CHECK_THAT(events,
               terrane::test::contains("\"event\":\"epoch\",\"epoch\":1}") && terrane::test::contains("\"continued\""));
    CHECK(std::filesystem::exists(path / "log" / "rank_0.log"));
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
    CHECK(error_number(run, resolved) == 0);
    CHECK_FALSE(std::filesystem::exists(run / "ckpt"));

    write_file_atomically(run / "run.json", "{}");
    resolved.config.runtime.overwrite = false;
    resolved.config.train.resume = "auto";
    CHECK(error_number(run, resolved) == 904);
}

TEST_CASE("a folder that can't be created is an error", "[report]") {
    config::Resolved resolved;
    CHECK(error_number("/proc/terrane", resolved) == 901);
}

TEST_CASE("a run goes where -o says, else below runs/ with the name of the config's folder", "[report]") {
    config::Config config;
    config.folder = "/data/potsdam";
    CHECK_THAT(RunFolder::choose(config).string(), Catch::StartsWith("runs/potsdam/20"));
    config.runtime.out = "runs/first";
    CHECK(RunFolder::choose(config) == "runs/first");
}
