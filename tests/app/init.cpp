// 'terrane init': what it writes can be used as it is.
#include <filesystem>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using terrane::read_text_file;
using terrane::test::contains;
using terrane::test::shell;
using terrane::test::ShellResult;
using terrane::test::TemporaryFolder;

namespace {

const std::string program = TERRANE_PROGRAM;

}  // namespace

TEST_CASE("every layout of init is a configuration without mistakes", "[app]") {
    const ShellResult list = shell(program + " init --list");
    REQUIRE(list.exit_code == 0);
    std::istringstream lines(list.output);
    int layouts = 0;
    for (std::string layout; std::getline(lines, layout); ++layouts) {
        CAPTURE(layout);
        const TemporaryFolder folder;
        const std::string out = (folder.path() / "project").string();
        REQUIRE(shell(program + " init --layout " + layout + " --data /data/x -o " + out).exit_code == 0);
        const std::string config = out + "/" + layout + ".toml";
        CHECK_THAT(read_text_file(config), contains("/data/x/"));
        CHECK(read_text_file(config).find('@') == std::string::npos);
        const ShellResult check = shell(program + " config check -c " + config);
        CHECK(check.exit_code == 0);
        CHECK_THAT(check.output, contains("ok:"));
    }
    CHECK(layouts >= 5);
    CHECK_THAT(list.output, contains("isprs-potsdam"));
}

TEST_CASE("init writes the batch script of the cluster that was described", "[app]") {
    const TemporaryFolder folder;
    const std::string out = (folder.path() / "project").string();
    const std::string words = program +
                              " init --slurm --partition gpu --account me --nodes 3 --gpus-per-node 8 " +
                              "--cpus-per-task 12 --time 2-00:00:00 --modules 'gcc openmpi' -o " + out;
    REQUIRE(shell(words).exit_code == 0);
    const std::string script = read_text_file(out + "/slurm/train.sbatch");
    for (const char* line :
         {"#SBATCH --partition=gpu\n", "#SBATCH --account=me\n", "#SBATCH --nodes=3\n",
          "#SBATCH --ntasks-per-node=8\n", "#SBATCH --gres=gpu:8\n", "#SBATCH --cpus-per-task=12\n",
          "#SBATCH --time=2-00:00:00\n", "#SBATCH --requeue\n", "#SBATCH --signal=USR1@300\n",
          "export MODULES=\"${MODULES:-gcc openmpi}\"\n"}) {
        CHECK_THAT(script, contains(line));
    }
    CHECK_THAT(script, contains("export TERRANE=\"${TERRANE:-" +
                                std::filesystem::canonical(program).string() + "}\"\n"));
    // Slurm stops reading its options at the first command.
    CHECK(script.rfind("#SBATCH") < script.find("set -euo"));
    CHECK(script.rfind("#SBATCH") < script.find("export "));
    CHECK(shell("bash -n " + out + "/slurm/train.sbatch && bash -n " + out + "/slurm/job.sh").exit_code == 0);

    SECTION("CPUs: no GPU is asked for") {
        REQUIRE(shell(program + " init --slurm --gpus-per-node 0 --tasks-per-node 16 -o " + out + "2")
                    .exit_code == 0);
        const std::string cpus = read_text_file(out + "2/slurm/train.sbatch");
        CHECK_THAT(cpus, contains("#SBATCH --ntasks-per-node=16\n"));
        CHECK(cpus.find("gres") == std::string::npos);
    }
    SECTION("nothing is overwritten unasked") {
        const ShellResult again = shell(words);
        CHECK(again.exit_code == 73);
        CHECK_THAT(again.output, contains("E0904"));
        CHECK(shell(words + " --overwrite").exit_code == 0);
    }
    SECTION("what can't stand in a script or is no layout is refused") {
        CHECK(shell(program + " init --slurm --partition 'gpu; rm -rf x' -o " + out + "3").exit_code == 2);
        const ShellResult unknown = shell(program + " init --layout isprs-potsdan -o " + out + "3");
        CHECK(unknown.exit_code == 2);
        CHECK_THAT(unknown.output, contains("isprs-potsdam"));
        CHECK_FALSE(std::filesystem::exists(out + "3"));
    }
}
