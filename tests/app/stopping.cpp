// Signals, time limits and failing disks, seen from outside: exit codes, messages, and what the next start
// finds.
#include <fstream>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using test::contains;
using test::shell;
using test::ShellResult;

namespace {

namespace fs = std::filesystem;

/// A scene of 256 pixels and its tiles, made once.
struct Scene {
    test::TemporaryFolder folder;
    std::string config;

    Scene() {
        const std::string path = folder.path().string();
        config = " -c " + path + "/scene/scene.toml -s data.tiles=" + path + "/tiles -s grid.tile=64 ";
        for (const std::string& command :
             {" data synth -o " + path + "/scene --size 256 --seed 3", " data build" + config}) {
            const ShellResult result = shell(TERRANE_PROGRAM + command);
            if (result.exit_code != 0) throw std::runtime_error(result.output);
        }
    }
};

const Scene& scene() {
    static const Scene the_scene;
    return the_scene;
}

std::string train(const fs::path& run, const std::string& more = "") {
    return std::string(TERRANE_PROGRAM) + " train" + scene().config +
           "-s model.encoder_width=8 -s model.decoder_channels=8 -s model.aspp_channels=8 -s "
           "train.global_batch=2 "
           "-s train.steps=100000 -s eval.every_steps=100000 -s checkpoint.every=100000 --threads 1 -o " +
           run.string() + " " + more;
}

/// Shell text: starts `command`, waits until the run trains, then does `action` with $pid, the process.
/// Prints the exit code last.
std::string started(const std::string& command, const fs::path& run, const std::string& action) {
    return command + " & pid=$!; n=0; until grep -qs '\"training\"' " + (run / "events.jsonl").string() +
           " || [ $n -ge 1200 ]; do sleep 0.05; n=$((n+1)); done; " + action +
           "; wait $pid; echo \"exit $?\"";
}

}  // namespace

TEST_CASE("a signal to one rank stops all at one step with a checkpoint, and the next start goes on",
          "[app]") {
    const fs::path run = scene().folder.path() / "signalled";
    const std::string ranks = std::string("env ") + TERRANE_MPIRUN + " -n 2 " + train(run);
    // The younger child of mpirun is rank 1.
    const ShellResult stopped = shell(started(ranks, run, "kill -USR1 $(pgrep -n -P $pid terrane)"));
    INFO(stopped.output);
    CHECK_THAT(stopped.output, contains("sig    USR1 at rank 1; all ranks agreed to stop at step "));
    CHECK_THAT(stopped.output, contains("exit 75"));
    CHECK_THAT(stopped.output, contains("\ndev   cpu, oneDNN ") && contains(" (auto: "));
    CHECK_THAT(stopped.output, contains("MB each, about "));
    CHECK(fs::exists(run / "ckpt/last/COMPLETE"));
    const std::string after = read_text_file(run / "events.jsonl");

    const ShellResult again = shell(started(train(run), run, "sleep 0.5; kill -TERM $pid"));
    INFO(again.output);
    CHECK_THAT(again.output, contains("resume " + (run / "ckpt/step-").string()));
    CHECK_THAT(again.output, contains("sig    TERM at rank 0"));
    CHECK_THAT(again.output, contains("exit 75"));
    CHECK(read_text_file(run / "events.jsonl").starts_with(after));
}

TEST_CASE("a second signal ends the process at once and leaves the last checkpoint", "[app]") {
    const fs::path run = scene().folder.path() / "insisted";
    const ShellResult result =
        shell("TERRANE_FAULT='sleep@step=3;seconds=60' " +
              started(train(run, "-s checkpoint.every=1"), run,
                      "until [ -e " + (run / "ckpt/step-00000002/COMPLETE").string() +
                          " ]; do sleep 0.05; done; kill -INT $pid; sleep 0.5; kill -INT $pid"));
    INFO(result.output);
    CHECK(result.seconds < 50);
    CHECK_THAT(result.output, contains("exit 130"));
    CHECK_THAT(result.output, contains("ending at once"));
    CHECK(fs::exists(run / "ckpt/step-00000002/COMPLETE"));
}

TEST_CASE("the time limit ends a run with exit code 75 before it is over", "[app]") {
    const fs::path run = scene().folder.path() / "limited";
    const ShellResult result = shell(train(run, "--max-time 0:00:06"));
    INFO(result.output);
    CHECK(result.exit_code == 75);
    CHECK_THAT(result.output,
               contains("time   the limit is near at rank 0; all ranks agreed to stop at step "));
    CHECK(fs::exists(run / "ckpt/last/COMPLETE"));
}

TEST_CASE("verbs that can't be continued end by TERM, and USR1 does not disturb them", "[app]") {
    const std::string path = scene().folder.path().string();
    const std::string big = path + "/big";
    REQUIRE(
        shell(std::string(TERRANE_PROGRAM) + " data synth -o " + big + " --size 1024 --seed 4").exit_code ==
        0);
    const std::string build =
        std::string(TERRANE_PROGRAM) + " data build -c " + big + "/scene.toml -o " + path + "/big_tiles";
    const ShellResult ended =
        shell(build + " & pid=$!; until [ -e " + path +
              "/big_tiles/.building ]; do sleep 0.01; done; kill -USR1 $pid; sleep 0.02; "
              "kill -TERM $pid; wait $pid; echo \"exit $?\"");
    INFO(ended.output);
    CHECK_THAT(ended.output, contains("going on"));
    CHECK_THAT(ended.output, contains("exit 143"));
    CHECK_THAT(ended.output, contains("ended by TERM"));
    CHECK_FALSE(fs::exists(path + "/big_tiles/manifest.json"));
    const ShellResult again = shell(build);
    INFO(again.output);
    CHECK(again.exit_code == 0);
    CHECK(shell(std::string(TERRANE_PROGRAM) + " data verify -c " + big +
                "/scene.toml -s data.tiles=" + path + "/big_tiles")
              .exit_code == 0);
}

TEST_CASE("a checkpoint that can't be written is warned about, and at the end it is exit code 74", "[app]") {
    const fs::path run = scene().folder.path() / "full";
    const ShellResult result = shell("TERRANE_FAULT='io_error@save=1;error=ENOSPC;times=99' " +
                                     train(run,
                                           "-s train.steps=3 -s optim.warmup_steps=0 -s checkpoint.every=1 "
                                           "-s eval.every_steps=0 -s eval.every=0"));
    INFO(result.output);
    CHECK(result.exit_code == 74);
    CHECK_THAT(result.output, contains("was not saved and will be tried again") && contains("No space left"));
    CHECK_THAT(result.output, contains("error[E0612]"));
}

TEST_CASE("numbers that are not finite are dumped into the run folder before exit code 80", "[app]") {
    const fs::path run = scene().folder.path() / "diverging";
    const ShellResult result =
        shell("TERRANE_FAULT='nan_gradient@step=2;times=9' " + train(run, "-s train.max_bad_steps=2"));
    INFO(result.output);
    CHECK(result.exit_code == 80);
    CHECK_THAT(result.output, contains("its update is left out (1 of at most 2 in a row)"));
    CHECK_THAT(result.output, contains("error[E0520]"));
    CHECK_THAT(read_text_file(run / "diverged.json"), contains("\"not_finite\": 1"));
}

TEST_CASE("a fault that can't be read is refused", "[app]") {
    const ShellResult result =
        shell(std::string("TERRANE_FAULT=kill@stepp=1 ") + TERRANE_PROGRAM + " doctor");
    INFO(result.output);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.output, contains("error[E0111]"));
}
