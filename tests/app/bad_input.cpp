// What a user gets for bad input: for every case the exit code, one message that says what, where and what to
// do, and nothing half-written. The library's own tests look closer; this one runs the program.
#include <sys/mount.h>

#include "../tiles/scene.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using test::grid_at;
using test::shell;
using test::ShellResult;
using test::write_raster;

namespace {

namespace fs = std::filesystem;

/// A good scene of 256 x 192 pixels in two modalities; every test spoils something.
struct Project {
    test::TemporaryFolder folder;
    raster::Grid grid = grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192);

    Project() {
        test::write_scene(folder.path(), "a", 500000);
        configure("");
    }
    fs::path path(const std::string& name) const { return folder.path() / name; }
    void configure(const std::string& more) const {
        write_file_atomically(path("my.toml"), R"(
[grid]
tile = 32
[[modality]]
name = "optical"
files = "optical_a.tif"
[[modality]]
name = "height"
files = "height_a.tif"
scale = 2
[label]
files = "label_a.tif"
[[class]]
id = 1
name = "one"
color = [255, 0, 0]
[[class]]
id = 2
name = "two"
color = [0, 255, 0]
[[class]]
id = 3
name = "three"
color = [0, 0, 255]
)" + more);
    }
    ShellResult run(const std::string& verb, const std::string& arguments = "",
                    const std::string& launch = "") const {
        return shell(launch + " " + TERRANE_PROGRAM + " " + verb + " -c " + path("my.toml").string() +
                     " -s data.tiles=" + path("tiles").string() + " " + arguments);
    }
    /// The command fails with code and number; its only error names every one of `parts`.
    void require(const ShellResult& result, int code, const std::string& number,
                 const std::vector<std::string>& parts) const {
        INFO(result.output);
        CHECK(result.exit_code == code);
        CHECK(test::occurrences(result.output, "error[") == 1);
        CHECK_THAT(result.output, test::contains("error[" + number + "]"));
        for (const std::string& part : parts) CHECK_THAT(result.output, test::contains(part));
        CHECK_FALSE(fs::exists(path("tiles/manifest.json")));
    }
    void require_build(const std::string& arguments, int code, const std::string& number,
                       const std::vector<std::string>& parts) const {
        require(run("data build", arguments), code, number, parts);
        if (fs::exists(path("tiles"))) {
            for (const auto& entry : fs::recursive_directory_iterator(path("tiles")))
                FAIL_CHECK(entry.path().string() << " was left");
        }
    }
    void build() const {
        const ShellResult built = run("data build");
        INFO(built.output);
        REQUIRE(built.exit_code == 0);
    }
};

}  // namespace

TEST_CASE("rasters that can't be used are refused by name", "[app]") {
    const Project project;
    const std::string optical = "modality.optical.files=" + project.path("bad.tif").string();

    project.require_build("-s " + optical, 66, "E0201", {"[[modality]] optical", "bad.tif", "no such file"});
    project.require_build("-s modality.optical.bands=[1,9]", 65, "E0206",
                          {"[[modality]] optical", "band 9", "optical_a.tif", "3"});

    raster::Grid nowhere = project.grid;
    nowhere.crs.clear();
    const auto some = [](auto c, auto r, auto) { return static_cast<std::uint8_t>(1 + (c + r) % 200); };
    write_raster<std::uint8_t>(project.path("bad.tif"), nowhere, 3, some);
    project.require_build("-s " + optical, 65, "E0203",
                          {"bad.tif has no CRS", "crs=\"EPSG:", "[[modality]] optical"});

    write_raster<std::uint8_t>(project.path("bad.tif"), grid_at("EPSG:32633", 700000, 5400000, 1, 256, 192),
                               3, some);
    project.require_build("-s grid.reference=height -s " + optical, 65, "E0208",
                          {"bad.tif", "does not overlap", "Check the files and their CRS"});

    write_raster<std::uint8_t>(
        project.path("bad.tif"), project.grid, 3, [](auto, auto, auto) { return std::uint8_t{0}; }, 0);
    project.require_build("-s " + optical, 65, "E0210", {"bad.tif", "no valid pixel", "nodata"});

    write_raster<float>(project.path("bad.tif"), grid_at("EPSG:32633", 500000, 5400000, 0.25, 1024, 768), 3,
                        [](auto c, auto r, auto b) {
                            return static_cast<float>((c * 2654435761u ^ r * 40503u ^ b) % 1000003u);
                        });
    fs::resize_file(project.path("bad.tif"), fs::file_size(project.path("bad.tif")) * 3 / 4);
    project.require_build("-s grid.reference=height -s grid.tile=16 -s " + optical, 65, "E0205",
                          {"bad.tif"});
}

TEST_CASE("labels of no class are refused with their pixel count", "[app]") {
    const Project project;
    write_raster<std::uint8_t>(project.path("bad.tif"), project.grid, 1, [](auto c, auto r, auto) {
        return static_cast<std::uint8_t>(r < 50 && c < 30 ? 6 : 1 + c % 3);
    });
    const std::string label = "-s label.files=" + project.path("bad.tif").string();
    project.require_build(label, 65, "E0311",
                          {"label value 6", "bad.tif", "1 500 px", "label.undefined=\"ignore\""});
    write_raster<std::uint8_t>(project.path("bad.tif"), project.grid, 3, [](auto c, auto r, auto b) {
        if (r < 40 && c < 25) return static_cast<std::uint8_t>(b == 0 ? 12 : 34);
        return static_cast<std::uint8_t>(b == c % 3 ? 255 : 0);
    });
    project.require_build(label + " -s label.encoding=palette", 65, "E0311",
                          {"label colour (12,34,34)", "bad.tif", "1 000 px"});
}

TEST_CASE("a configuration that can't work is refused with its place", "[app]") {
    const Project project;
    project.configure("[train]\nepoch = 3\n");
    project.require_build("", 78, "E0502", {"my.toml:", "epoch", "Did you mean", "epochs"});
    project.configure("[train]\nepochs = \"many\"\n");
    project.require_build("", 78, "E0503", {"my.toml:", "epochs"});
    project.configure(R"([split]
method = "regions"
[[split.region]]
split = "train"
bounds = [500000, 5399800, 500150, 5400000]
[[split.region]]
split = "test"
bounds = [500100, 5399800, 500256, 5400000]
)");
    project.require_build("", 65, "E0301", {"train", "test"});
    project.configure("");
    project.require_build("-s grid.tile=200", 65, "E0315", {"200 x 200", "256 x 192", "grid.tile"});

    project.build();
    const ShellResult batch =
        project.run("train", "-s train.global_batch=8 -o " + project.path("run").string(),
                    std::string(TERRANE_MPIRUN) + " -n 3");
    INFO(batch.output);
    CHECK(batch.exit_code == 78);
    CHECK_THAT(batch.output, test::contains("error[E0504]") && test::contains("3 ranks"));
    CHECK_FALSE(fs::exists(project.path("run")));
}

TEST_CASE("a store that does not fit, or is damaged, is refused with what to do", "[app]") {
    const Project project;
    project.build();
    const std::string evaluate = "--prediction " + project.path("label_a.tif").string() + " --split test";
    REQUIRE(project.run("evaluate", evaluate).exit_code == 0);
    const auto refused = [&](const ShellResult& result, int code, const std::vector<std::string>& parts) {
        INFO(result.output);
        CHECK(result.exit_code == code);
        for (const std::string& part : parts) CHECK_THAT(result.output, test::contains(part));
    };
    refused(project.run("evaluate", evaluate + " -s grid.min_valid=0.5"), 65,
            {"error[E0403]", "another", "data build"});

    // A byte of one tile's pixels: named by every reader, and by verify without stopping there.
    fs::path shard;
    for (const auto& entry : fs::directory_iterator(project.path("tiles/scenes"))) {
        if (entry.path().extension() == ".h5") shard = entry.path();
    }
    const std::string whole = read_text_file(shard);
    std::string spoiled = whole;
    for (std::size_t at = spoiled.size() / 2; at < spoiled.size(); at += 1) spoiled[at] ^= 1;
    write_file_atomically(shard, spoiled);
    refused(project.run("evaluate", evaluate), 65, {"error[E0410]", "tile ", shard.filename().string()});
    refused(project.run("data verify"), 65, {"checksum", shard.filename().string()});
    write_file_atomically(shard, whole);
    REQUIRE(project.run("data verify").exit_code == 0);

    write_raster<std::uint8_t>(project.path("optical_a.tif"), project.grid, 3,
                               [](auto c, auto, auto) { return static_cast<std::uint8_t>(c % 99); });
    refused(project.run("evaluate", evaluate), 65, {"error[E0404]", "optical_a.tif", "data build"});
}

TEST_CASE("NaN is masked and counted, and an absent class is called absent", "[app]") {
    const Project project;
    write_raster<float>(project.path("height_a.tif"), grid_at("EPSG:32633", 500000, 5400000, 2, 128, 96), 1,
                        [](auto c, auto r, auto) { return r == 7 && c < 20 ? NAN : float(c + r); });
    const ShellResult built = project.run("data build");
    INFO(built.output);
    CHECK(built.exit_code == 0);
    CHECK_THAT(built.output, test::contains("modality 'height': 20 NaN or infinite pixels"));

    project.configure("[[class]]\nid = 9\nname = \"glacier\"\ncolor = [1, 1, 1]\n");
    const ShellResult scored =
        project.run("evaluate", "--prediction " + project.path("label_a.tif").string());
    INFO(scored.output);
    CHECK(scored.exit_code == 0);
    CHECK_THAT(scored.output, test::contains("absent from truth and prediction") &&
                                  test::contains("mIoU 100.00") && test::contains("leave out: glacier"));
}

TEST_CASE("a disk that fills up while tiles are built is named, and nothing is left", "[app]") {
    const Project project;
    const fs::path small = project.path("small");
    fs::create_directories(small);
    if (::mount("none", small.c_str(), "tmpfs", 0, "size=200k") != 0) {
        WARN("no permission to mount a small tmpfs: not tested");
        return;
    }
    const ShellResult result = project.run("data build", "-o " + (small / "tiles").string());
    const bool left = fs::exists(small / "tiles");
    ::umount2(small.c_str(), MNT_DETACH);
    INFO(result.output);
    CHECK(result.exit_code == 74);
    CHECK_THAT(result.output, test::contains("error[E0420]") && test::contains("Free some space"));
    CHECK_FALSE(left);
}

TEST_CASE("control characters from outside reach no terminal", "[app]") {
    const Project project;
    const auto harmless = [](const ShellResult& result) {
        INFO(result.output);
        CHECK(result.exit_code != 0);
        CHECK(result.output.find('\x1b') == std::string::npos);
        CHECK(test::occurrences(result.output, "\n") == 1);
        CHECK_THAT(result.output, test::contains("\\x1b"));
    };
    harmless(shell(std::string(TERRANE_PROGRAM) + " data info \"$(printf '/no\\033[2J\\nerror.tif')\""));
    harmless(project.run("config check", "-s \"$(printf 'tr\\033[31main')=1\""));
    project.configure("[\"tr\\u001b[31m\\nain\"]\nx = 1\n");
    harmless(project.run("config check"));
    project.configure("[eval]\nbest = \"\\u001b[31m\\nmiou\"\n");
    harmless(project.run("config check"));
    project.configure("");
    harmless(project.run("data build", "-s modality.optical.files=\"$(printf 'x\\033[31m\\n.tif')\""));
}
