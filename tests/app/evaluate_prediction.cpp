// terrane evaluate --prediction as a user runs it.
#include <nlohmann/json.hpp>

#include "../tiles/scene.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using test::shell;
using test::ShellResult;

TEST_CASE("evaluate scores a map, writes the scores and fails under a limit, on one rank and on three",
          "[app]") {
    const test::TemporaryFolder folder;
    test::write_scene(folder.path(), "a", 500000);
    const auto path = [&](const std::string& name) { return (folder.path() / name).string(); };
    const auto grid = test::grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192);
    // Right but for every eighth row, which says class 1.
    test::write_raster<std::uint8_t>(folder.path() / "map.tif", grid, 1, [](auto c, auto r, auto) {
        return static_cast<std::uint8_t>(r % 8 == 0 ? 1 : 1 + c / 16 % 3);
    });
    write_file_atomically(folder.path() / "my.toml", R"(
[grid]
tile = 32
[[modality]]
name = "optical"
files = "optical_a.tif"
[label]
files = "label_a.tif"
[split]
block = 1
[[class]]
id = 1
name = "one"
[[class]]
id = 2
name = "two"
[[class]]
id = 3
name = "three"
)");
    const std::string evaluate = std::string(TERRANE_PROGRAM) + " evaluate -c " + path("my.toml") +
                                 " -s data.tiles=" + path("tiles") + " --prediction " + path("map.tif");
    const ShellResult one = shell(evaluate + " -o " + path("one"));
    INFO(one.output);
    REQUIRE(one.exit_code == 0);
    CHECK_THAT(one.output, test::contains("protocol: every pixel of the map"));
    const ShellResult three =
        shell(std::string(TERRANE_MPIRUN) + " -n 3 " + evaluate + " -o " + path("three"));
    REQUIRE(three.exit_code == 0);
    CHECK(read_text_file(folder.path() / "one/confusion.csv") ==
          read_text_file(folder.path() / "three/confusion.csv"));
    const auto json = nlohmann::json::parse(read_text_file(folder.path() / "one/metrics.json"));
    CHECK(json.at("pixels") == 256 * 192);
    CHECK(json.at("unpredicted") == 0);
    // 96 columns of class 1, 80 of each other: the rows of class 1 are wrong there.
    CHECK(json.at("oa").get<double>() == Approx(1 - 160.0 / 256 / 8));

    CHECK(shell(evaluate + " --fail-under oa=0.9").exit_code == 0);
    CHECK(shell(evaluate + " --fail-under oa=0.95").exit_code == 81);
    CHECK(shell(evaluate + " --split test").exit_code == 66);  // no tiles were built
    REQUIRE(shell(std::string(TERRANE_PROGRAM) + " data build -c " + path("my.toml") + " -o " + path("tiles"))
                .exit_code == 0);
    const ShellResult split = shell(evaluate + " --split test");
    INFO(split.output);
    CHECK(split.exit_code == 0);
    CHECK_THAT(split.output, test::contains("test: OA"));
    CHECK(shell(evaluate + " --split tests").exit_code == 78);
    CHECK(shell(evaluate + " --truth " + path("none.tif")).exit_code == 66);
    CHECK(shell(evaluate + " --weights x").exit_code == 2);
    CHECK(shell(std::string(TERRANE_PROGRAM) + " evaluate -c " + path("my.toml")).exit_code == 2);
}
