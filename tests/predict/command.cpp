// Runs the built program on rasters and weights as a user does.
#include <numeric>

#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "predict/small_network.hpp"
#include "raster/describe.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"
#include "train/model_files.hpp"

using namespace terrane;
using test::shell;
using test::ShellResult;

namespace {

namespace fs = std::filesystem;

const std::string program = TERRANE_PROGRAM;
const std::string mpirun = TERRANE_MPIRUN;

/// A scene of two rasters on different grids, a configuration, and a tiny network with random weights.
struct Project {
    test::TemporaryFolder folder;

    Project() {
        write_scene("optical.tif", "height.tif",
                    [](std::int64_t column, std::int64_t row) { return column < 40 && row > 90; });
        write_file_atomically(path("my.toml"), R"(
[grid]
reference = "optical"
tile = 64
[[modality]]
name = "optical"
files = "optical.tif"
[[modality]]
name = "height"
files = "height.tif"
scale = 2
relative = true
[[class]]
id = 7
name = "building"
color = [200, 0, 0]
[[class]]
id = 2
name = "tree"
color = [0, 200, 0]
[[class]]
id = 0
name = "water"
color = [0, 0, 200]
[label]
files = "labels.tif"
[predict]
batch = 3
quicklook = 100

)");
        const auto backend = ref::make_ref_backend();
        predict::NetworkClassifier network(test::small_design(64, 1), *backend);
        test::fill(network, 11);
        train::ModelDescription model;
        model.model = test::small_design(64, 1).model;
        for (const auto& modality : test::small_design(64, 1).modalities)
            model.modalities.push_back(modality.layout);
        model.classes = {
            {7, "building", {200, 0, 0}, 0}, {2, "tree", {0, 200, 0}, 0}, {0, "water", {0, 0, 200}, 0}};
        model.crop = 64;
        train::save_model(path("model.safetensors"), network.parameters(), *backend, model);
    }
    fs::path path(const std::string& name) const { return folder.path() / name; }

    void write_scene(const std::string& optical, const std::string& height,
                     const std::function<bool(std::int64_t, std::int64_t)>& hole) const {
        const raster::Grid fine = test::grid_at("EPSG:25832", 500000, 5300000, 0.5, 190, 150);
        const raster::Grid coarse = test::grid_at("EPSG:25832", 500000, 5300000, 1, 95, 75);
        test::write_raster<std::uint8_t>(
            path(optical), fine, 3,
            [&](std::int64_t column, std::int64_t row, std::int64_t band) {
                const std::uint8_t value = test::SyntheticScene::optical(row, column, band);
                return hole(column, row) ? std::uint8_t{0} : std::max<std::uint8_t>(value, 1);
            },
            0);
        test::write_raster<float>(
            path(height), coarse, 1,
            [&](std::int64_t column, std::int64_t row, std::int64_t) {
                return hole(column * 2, row * 2) ? -9999.0f
                                                 : 300 + test::SyntheticScene::elevation(row, column);
            },
            -9999);
    }
    std::string command(const std::string& arguments) const {
        std::string text = program;
        text +=
            " predict -c " + path("my.toml").string() + " --weights " + path("model.safetensors").string();
        return text + " --device cpu " + arguments;
    }
    std::string out(const std::string& name) const { return " -o " + path(name).string() + " "; }
};

}  // namespace

TEST_CASE("terrane predict writes the map, its names and its picture, the same on one and on three ranks",
          "[predict]") {
    const Project project;
    const ShellResult one = shell(project.command(project.out("one.tif")));
    INFO(one.output);
    REQUIRE(one.exit_code == 0);
    const ShellResult three = shell(mpirun + " -n 3 " + project.command(project.out("three.tif")));
    INFO(three.output);
    REQUIRE(three.exit_code == 0);
    CHECK(test::bytes_of(project.path("one.tif")) == test::bytes_of(project.path("three.tif")));
    CHECK(test::bytes_of(project.path("one.png")) == test::bytes_of(project.path("three.png")));
    const raster::RasterInfo info = raster::describe(project.path("one.tif"));
    CHECK(info.grid.width == 190);
    CHECK(info.grid.transform == test::grid_at("EPSG:25832", 500000, 5300000, 0.5, 190, 150).transform);
    CHECK(info.category_names[7] == "building");
    // Rasters, configuration, weights, and three files of each map.
    CHECK(std::distance(fs::directory_iterator(project.folder.path()), {}) == 4 + 2 * 3);
}

TEST_CASE("predict refuses what can't work, each with its exit code and nothing written", "[predict]") {
    const Project project;
    write_file_atomically(project.path("old.tif"), "older");
    write_file_atomically(project.path("foreign.safetensors"),
                          test::bytes_of(project.path("model.safetensors")).substr(0, 100));
    const auto exit_code = [&](const std::string& command) { return shell(command).exit_code; };
    CHECK(exit_code(project.command("")) == 2);
    CHECK(exit_code(project.command(project.out("old.tif"))) == 73);
    CHECK(test::bytes_of(project.path("old.tif")) == "older");
    CHECK(exit_code(project.command(project.out("no/map.tif"))) == 73);
    CHECK(exit_code(project.command(project.out("map.tif") + "-i radar=x.tif")) == 2);
    CHECK(exit_code(project.command(project.out("map.tif") +
                                    "-i optical=/nonexistent.tif --without height")) == 66);
    CHECK(exit_code(project.command(project.out("map.tif") + "--ram 1")) == 69);
    CHECK(exit_code(project.command(project.out("map.tif") + "-s predict.window=51")) == 78);
    CHECK(exit_code(project.command(project.out("map.tif") + "--dry-run")) == 0);
    CHECK(exit_code(program + " predict -c " + project.path("my.toml").string() + project.out("map.tif") +
                    "--weights " + project.path("foreign.safetensors").string()) == 65);
    CHECK(exit_code(program + " predict -c " + project.path("my.toml").string() + project.out("map.tif") +
                    "--weights /nonexistent") == 66);
    const std::string optical = test::bytes_of(project.path("optical.tif"));
    write_file_atomically(project.path("cut.tif"), optical.substr(0, optical.size() / 2));
    const ShellResult truncated =
        shell(mpirun + " -n 2 " +
              project.command(project.out("map.tif") + "-i optical=" + project.path("cut.tif").string()));
    CHECK(truncated.exit_code != 0);
    CHECK_THAT(truncated.output, test::contains("cut.tif"));
    CHECK_FALSE(fs::exists(project.path("map.tif")));
    for (const auto& entry : fs::directory_iterator(project.folder.path())) {
        CHECK_THAT(entry.path().string(), !test::contains("map.tif"));
    }
}

TEST_CASE(
    "a modality is withheld by option and by absence; --overwrite replaces; all nodata gives a map of nodata",
    "[predict]") {
    const Project project;
    REQUIRE(shell(project.command(project.out("a.tif") + "--without height")).exit_code == 0);
    fs::remove(project.path("height.tif"));
    const ShellResult absent = shell(project.command(project.out("b.tif")));
    INFO(absent.output);
    REQUIRE(absent.exit_code == 0);
    CHECK_THAT(absent.output, test::contains("height is withheld"));
    CHECK(test::bytes_of(project.path("a.tif")) == test::bytes_of(project.path("b.tif")));

    project.write_scene("empty.tif", "height.tif", [](std::int64_t, std::int64_t) { return true; });
    const ShellResult empty =
        shell(project.command(project.out("b.tif") + "--overwrite -s predict.confidence=true -i optical=" +
                              project.path("empty.tif").string()));
    INFO(empty.output);
    REQUIRE(empty.exit_code == 0);
    CHECK_THAT(empty.output, test::contains("no valid pixel"));
    CHECK(test::bytes_of(project.path("a.tif")) != test::bytes_of(project.path("b.tif")));
    CHECK(fs::exists(project.path("b.confidence.tif")));
}

TEST_CASE("what a killed prediction left behind is gone after the next one, what a running one needs stays",
          "[predict]") {
    const Project project;
    // A process that has ended by the time its number is used; the shell's own parent runs on.
    const std::string host = process_tag().substr(process_tag().find('-'));
    const ShellResult ended = shell("echo $$");
    const std::string dead = ended.output.substr(0, ended.output.find('\n')) + host;
    fs::create_directory(project.path("map.tif.parts-" + dead));
    write_file_atomically(project.path("map.tif.parts-" + dead) / "map-00000.tif", "part");
    fs::create_directory(project.path("map.tif.parts-" + process_tag()));
    fs::create_directory(project.path("other.tif.parts-" + dead));
    REQUIRE(shell(project.command(project.out("map.tif"))).exit_code == 0);
    CHECK_FALSE(fs::exists(project.path("map.tif.parts-" + dead)));
    CHECK(fs::exists(project.path("map.tif.parts-" + process_tag())));
    CHECK(fs::exists(project.path("other.tif.parts-" + dead)));
}
