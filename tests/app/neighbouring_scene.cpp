// A model trained on one scene is usable on another one of the same sensors by changing file paths only, and
// still answers when a modality is missing.
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using test::shell;
using test::ShellResult;

namespace {

namespace fs = std::filesystem;

void require(const std::string& command) {
    const ShellResult result = shell(std::string(TERRANE_PROGRAM) + " " + command);
    INFO(command);
    INFO(result.output);
    REQUIRE(result.exit_code == 0);
}

}  // namespace

TEST_CASE("a model maps a neighbouring scene, whole and with a modality missing", "[app]") {
    const test::TemporaryFolder folder;
    const auto path = [&](const std::string& name) { return (folder.path() / name).string(); };
    require("data synth -o " + path("here") + " --size 768 --seed 21");
    require("data synth -o " + path("there") + " --size 512 --seed 22");
    const std::string config = " -c " + path("here/scene.toml") + " -s data.tiles=" + path("tiles");
    require("data build" + config + " -s split.fractions=[0.9,0.05,0.05] -s split.block=1");
    require("train" + config +
            " -s split.fractions=[0.9,0.05,0.05] -s split.block=1 -s augment.crop=64 -s train.steps=300 -s "
            "eval.every_steps=1000 -s model.modality_dropout=0.25 -s model.decoder_stride=4 -o " +
            path("run"));

    const auto miou_without = [&](const std::string& missing) {
        std::string files;
        for (const char* name : {"optical", "height", "sar"})
            files += std::string(" -i ") + name + "=" + path("there") + "/" + name + ".tif";
        const std::string map = path("map" + missing + ".tif");
        require("predict -c " + path("here/scene.toml") + " --weights " + path("run/ckpt/last") + files +
                (missing.empty() ? "" : " --without " + missing) + " -o " + map);
        const std::string scores = path("scores" + missing);
        require("evaluate -c " + path("here/scene.toml") + " --prediction " + map + " --truth " +
                path("there/labels.tif") + " -o " + scores);
        return nlohmann::json::parse(read_text_file(fs::path(scores) / "metrics.json"))
            .at("miou")
            .get<double>();
    };
    const double all = miou_without(""), no_height = miou_without("height"), no_sar = miou_without("sar");
    std::printf("mIoU of the neighbouring scene: %.3f, without height %.3f, without SAR %.3f\n", all,
                no_height, no_sar);
    CHECK(all > 0.5);
    CHECK(no_height > 0.3);
    CHECK(no_sar > 0.4);
}
