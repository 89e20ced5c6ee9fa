// Runs the built program as a user does: exit codes, output, one and several ranks.
#include <fmt/format.h>
#include <sched.h>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using terrane::test::occurrences;
using terrane::test::shell;
using terrane::test::ShellResult;
using terrane::test::TemporaryFolder;

namespace {

const std::string program = TERRANE_PROGRAM;

const std::string minimal = R"(
[[modality]]
name = "optical"
files = "optical.tif"
[[class]]
id = 0
name = "ground"
[[class]]
id = 1
name = "building"
)";

ShellResult ranks(int count, const std::string& arguments) {
    return shell(std::string(TERRANE_MPIRUN) + " -n " + std::to_string(count) + " " + program + " " +
                 arguments);
}

}  // namespace

TEST_CASE("help and version are answered with exit code 0 and without MPI", "[app]") {
    CHECK(shell(program + " --version").exit_code == 0);
    CHECK_THAT(shell(program + " --help").output, terrane::test::contains("usage: terrane VERB"));
    CHECK(shell("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=1 " + program + " config schema").exit_code ==
          0);
    CHECK(shell(program + " --help > /dev/full").exit_code == 74);
    CHECK(shell(program + " config schema > /dev/full").exit_code == 74);
}

TEST_CASE("what PyTorch's launchers put on the command line is checked against the ranks that came",
          "[app]") {
    const ShellResult right =
        shell(std::string(TERRANE_MPIRUN) + " -n 2 sh -c '" + program +
              " doctor --distributed --world_size=2 --local_rank=$OMPI_COMM_WORLD_LOCAL_RANK'");
    INFO(right.output);
    CHECK(right.exit_code == 0);
    const ShellResult larger = ranks(2, "doctor --world-size 4");
    INFO(larger.output);
    CHECK(larger.exit_code == 69);
    CHECK(occurrences(larger.output,
                      "error[E0122]: OMPI_COMM_WORLD_SIZE says 2 ranks, --world-size says 4.") >= 1);
    const ShellResult elsewhere = ranks(2, "doctor --local-rank 0");
    INFO(elsewhere.output);
    CHECK(elsewhere.exit_code == 69);
    CHECK_THAT(elsewhere.output,
               terrane::test::contains("[rank 1 on ") &&
                   terrane::test::contains("the local rank 1, --local-rank says 0. Leave the option out"));
    const ShellResult alone = shell(program + " doctor --distributed");
    INFO(alone.output);
    CHECK(alone.exit_code == 0);
    CHECK_THAT(alone.output, terrane::test::contains("by --distributed"));
}

TEST_CASE("with --trace-barriers every rank says where it is", "[app]") {
    const ShellResult traced = ranks(2, "doctor --trace-barriers");
    INFO(traced.output);
    CHECK(traced.exit_code == 0);
    for (const char* rank : {"0", "1"}) {
        CHECK(occurrences(traced.output, fmt::format("[rank {}] trace comes to #1 broadcast\n", rank)) == 1);
        CHECK(occurrences(traced.output, fmt::format("[rank {}] trace leaves #1 broadcast after ", rank)) ==
              1);
    }
    CHECK(occurrences(ranks(2, "doctor").output, "trace") == 0);
}

TEST_CASE("config diff tells effective values apart, with their sources", "[app]") {
    TemporaryFolder folder;
    const std::string first = (folder.path() / "first.toml").string();
    const std::string second = (folder.path() / "second.toml").string();
    terrane::write_file_atomically(first, std::string(minimal) + "[train]\nepochs = 3\n");
    terrane::write_file_atomically(second, std::string(minimal) +
                                               "[[class]]\nid = 2\nname = \"road\"\n[train]\n" +
                                               "epochs = 3\nglobal_batch = 24\n");
    const ShellResult none = shell(program + " config diff -c " + first + " " + first);
    CHECK(none.exit_code == 0);
    CHECK(none.output == "no difference\n");
    const ShellResult some = shell(program + " config diff -c " + first + " -s train.epochs=5 " + second);
    INFO(some.output);
    CHECK(some.exit_code == 0);
    CHECK_THAT(some.output,
               terrane::test::contains("train.epochs: 5 (--set train.epochs) -> 3 (" + second + ":") &&
                   terrane::test::contains(" (default) -> 24 (" + second) &&
                   terrane::test::contains("train.global_batch: ") &&
                   terrane::test::contains("class[2].name: absent -> \"road\" (" + second));
    CHECK(terrane::test::occurrences(some.output, "train.epochs: ") == 1);
    CHECK(shell(program + " config diff -c " + first).exit_code == 2);
    CHECK(shell(program + " config diff -c " + first + " /nonexistent.toml").exit_code == 66);
}

TEST_CASE("each kind of mistake has its exit code and one message", "[app]") {
    TemporaryFolder folder;
    const std::string good = (folder.path() / "good.toml").string();
    const std::string bad = (folder.path() / "bad.toml").string();
    terrane::write_file_atomically(good, minimal);
    terrane::write_file_atomically(bad, minimal + "[train]\nepoch = 3\n");

    const ShellResult usage = shell(program + " config pint");
    CHECK(usage.exit_code == 2);
    CHECK(usage.output == "error[E0101]: \"config pint\" is no verb. Did you mean \"print\"?\n");
    const ShellResult missing = shell(program + " config check -c /nonexistent.toml");
    CHECK(missing.exit_code == 66);
    CHECK(missing.output == "error[E0902]: /nonexistent.toml can't be opened: No such file or directory.\n");
    const ShellResult wrong = shell(program + " config check -c " + bad);
    CHECK(wrong.exit_code == 78);
    CHECK(wrong.output ==
          "error[E0502]: " + bad + ":12: unknown key \"train.epoch\" in [train]. Did you mean \"epochs\"?\n");
    const ShellResult right = shell(program + " config check -c " + good);
    CHECK(right.exit_code == 0);
    CHECK_THAT(right.output, terrane::test::contains("ok: 1 modalities, 2 classes"));
    const ShellResult json =
        shell(program + " config check --log-format json -c " + good + " -s train.epochs=0");
    CHECK(json.exit_code == 78);
    CHECK_THAT(json.output,
               Catch::Matchers::StartsWith("{\"level\":\"error\",\"rank\":0,\"message\":\"error[E0505]"));
}

TEST_CASE("printed configuration reads back, with values from everywhere", "[app]") {
    TemporaryFolder folder;
    const std::string file = (folder.path() / "scene.toml").string();
    const std::string again = (folder.path() / "again.toml").string();
    terrane::write_file_atomically(file, minimal);
    const std::string options = " -s train.epochs=3 --seed 5 ";
    const ShellResult printed = shell(program + " config print -c " + file + options + "> " + again + " && " +
                                      program + " config print -c " + again + " | diff - " + again);
    CHECK(printed.exit_code == 0);
    CHECK(printed.output.empty());
    const ShellResult sources = shell(program + " config print --sources -c " + file + options);
    CHECK_THAT(sources.output,
               terrane::test::contains("# --set train.epochs") && terrane::test::contains("# --seed") &&
                   terrane::test::contains("# " + file + ":3") && terrane::test::contains("# default"));
}

TEST_CASE("a mistake under mpirun is printed once and gives mpirun its code", "[app]") {
    for (const int count : {1, 2, 3}) {
        const ShellResult usage = ranks(count, "doctr");
        INFO(usage.output);
        CHECK(usage.exit_code == 2);
        CHECK(occurrences(usage.output, "error[E0101]") == 1);
        const ShellResult option = ranks(count, "doctor --sed 3");
        CHECK(option.exit_code == 2);
        CHECK(occurrences(option.output, "error[E0102]") == 1);
        const ShellResult folder = ranks(count, "doctor -o /nonexistent");
        CHECK(folder.exit_code == 73);
        CHECK(occurrences(folder.output, "error[E0901]") == 1);
    }
}

TEST_CASE("ranks started with different commands are refused", "[app]") {
    const ShellResult result = shell(std::string(TERRANE_MPIRUN) + " -n 1 " + program +
                                     " doctor --seed 1 : -n 1 " + program + " doctor --seed 2");
    INFO(result.output);
    CHECK(result.exit_code == 69);
    CHECK(occurrences(result.output,
                      "error[E0121]: the command or configuration differs between rank 0 on ") == 1);
}

TEST_CASE("srun without PMI is refused before anything is written", "[app]") {
    const ShellResult result = shell("SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=0 " + program + " doctor");
    CHECK(result.exit_code == 69);
    CHECK(result.output ==
          "error[E0120]: srun started 8 tasks but MPI sees size 1 on each. Use 'srun --mpi=pmix', or connect "
          "the "
          "ranks over TCP with --launcher slurm.\n");
    CHECK(shell("SLURM_STEP_NUM_TASKS=8 SLURM_PROCID=3 " + program + " doctor").output.empty());
}

TEST_CASE("doctor describes every rank, and --threads wins", "[app]") {
    TemporaryFolder folder;
    const ShellResult one = shell(program + " doctor -o " + folder.path().string());
    INFO(one.output);
    CHECK(one.exit_code == 0);
    CHECK_THAT(one.output, terrane::test::contains("no launcher, 1 rank") &&
                               terrane::test::contains("disk") && terrane::test::contains("gpu") &&
                               terrane::test::contains("\ndevice   cpu (auto: "));
    CHECK(std::filesystem::is_empty(folder.path()));
    const ShellResult three = ranks(3, "doctor --threads 5 -o " + folder.path().string());
    INFO(three.output);
    CHECK(three.exit_code == 0);
    CHECK(occurrences(three.output, "threads 5") == 3);
    CHECK_THAT(three.output, terrane::test::contains("mpirun, 3 ranks"));
}

TEST_CASE("doctor says which GPUs it can't have, and that runtime.gpu_ids has no effect on CPUs", "[app]") {
    TemporaryFolder folder;
    const std::string out = " -o " + folder.path().string();
    const std::string hidden = "export CUDA_VISIBLE_DEVICES=; ";
    const ShellResult wanted = shell(hidden + program + " doctor --device cuda" + out);
    INFO(wanted.output);
    CHECK(wanted.exit_code == 0);
    CHECK_THAT(wanted.output,
               terrane::test::contains("\ndevice   none: runtime.device asks for cuda, but rank 0 on "));
    const ShellResult chosen = shell(hidden + program + " doctor --gpu-ids 1,0" + out);
    INFO(chosen.output);
    CHECK(chosen.exit_code == 0);
    CHECK_THAT(chosen.output,
               terrane::test::contains("note  runtime.gpu_ids has no effect: the device is cpu") &&
                   terrane::test::contains("\ndevice   cpu (auto: "));
    const ShellResult twice = shell(program + " doctor --gpu-ids 1,1" + out);
    CHECK((twice.exit_code == 78 && twice.output.find("error[E0508]: --gpu-ids: ") != std::string::npos));
}

TEST_CASE("a rank that mpirun bound to one core gets its share of a larger machine", "[app]") {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    REQUIRE(::sched_getaffinity(0, sizeof(usable), &usable) == 0);
    const int processors = CPU_COUNT(&usable);
    if (processors < 2) return;
    TemporaryFolder folder;
    const ShellResult result =
        shell("unset OMP_NUM_THREADS; " TERRANE_MPIRUN_DEFAULT " -n 1 --bind-to core " + program +
              " doctor -o " + folder.path().string());
    INFO(result.output);
    CHECK(result.exit_code == 0);
    CHECK(occurrences(result.output, "threads 1 ") == 0);
    CHECK(occurrences(result.output, "(widened from one core)") == 1);
}

TEST_CASE("completion code is accepted by its shell and offers verbs and keys", "[app]") {
    const auto complete = [&](const std::string& words, int at) {
        return shell("bash -c 'source <(" + program + " completion bash); COMP_WORDS=(terrane " + words +
                     "); COMP_CWORD=" + std::to_string(at) + "; _terrane; echo \"${COMPREPLY[@]}\"'");
    };
    CHECK(complete("doc", 1).output == "doctor\n");
    CHECK(complete("config pr", 2).output == "print\n");
    CHECK(complete("config print -s train.global", 4).output == "train.global_batch=\n");
    CHECK(complete("doctor --thr", 2).output == "--threads\n");
    CHECK(shell(program + " completion zsh").exit_code == 0);
    CHECK(shell(program + " completion fish").exit_code == 0);
    CHECK(shell(program + " completion tcsh").exit_code == 2);
}
