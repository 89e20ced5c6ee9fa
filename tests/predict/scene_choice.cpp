#include "predict/scene_choice.hpp"

#include <fstream>

#include "support/catch.hpp"
#include "support/small_raster.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using predict::choose_scenes;
using predict::map_paths;
using predict::SceneRequest;

namespace {

struct Files {
    test::TemporaryFolder folder;
    config::Config config;

    Files() {
        config.folder = folder.path().string();
        for (const char* name : {"optical", "height"}) {
            config::Modality modality;
            modality.name = name;
            modality.files = {std::string(name) + ".tif"};
            config.modalities.push_back(modality);
            touch(std::string(name) + ".tif");
        }
        config.grid.reference = "optical";
    }
    std::filesystem::path touch(const std::string& name) const {
        const auto path = folder.path() / name;
        std::ofstream(path) << "x";
        return path;
    }
};

}  // namespace

TEST_CASE("-i replaces the files of a modality, and only those") {
    const Files files;
    const auto other = files.touch("other.tif");
    const auto choice = choose_scenes(files.config, {{"optical=" + other.string()}, {}, false});
    REQUIRE(choice.scenes.size() == 1);
    CHECK(choice.scenes[0].modalities[0][0] == other);
    CHECK(choice.scenes[0].modalities[1][0] == files.folder.path() / "height.tif");
    CHECK(choice.withheld.empty());
}

TEST_CASE("a relative path of -i starts at the working folder") {
    const Files files;
    files.touch("other.tif");
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(files.folder.path());
    const auto choice = choose_scenes(files.config, {{"optical=other.tif"}, {}, false});
    std::filesystem::current_path(before);
    CHECK(std::filesystem::equivalent(choice.scenes[0].modalities[0][0], files.folder.path() / "other.tif"));
}

TEST_CASE("a malformed -i and unknown modalities are usage errors that name the known ones") {
    const Files files;
    for (const char* text : {"optical", "=a.tif", "optical=", "radar=a.tif"}) {
        const Error error = test::error_of([&] { choose_scenes(files.config, {{text}, {}, false}); });
        CHECK(error.exit_code() == ExitCode::usage);
    }
    const Error error = test::error_of([&] { choose_scenes(files.config, {{}, {"radar"}, false}); });
    CHECK(error.exit_code() == ExitCode::usage);
    CHECK_THAT(error.fix(), test::contains("optical, height"));
}

TEST_CASE("withheld modalities are not opened; without any left there is nothing to predict from") {
    const Files files;
    std::filesystem::remove(files.folder.path() / "height.tif");
    const auto choice = choose_scenes(files.config, {{}, {"height"}, false});
    CHECK(choice.config.modalities.size() == 1);
    CHECK(choice.withheld == std::vector<std::string>{"height"});
    CHECK(test::error_of([&] {
              choose_scenes(files.config, {{}, {"height", "optical"}, false});
          }).exit_code() == ExitCode::input_missing);
}

TEST_CASE("absent files withhold a modality only from a network that was trained for it") {
    const Files files;
    std::filesystem::remove(files.folder.path() / "height.tif");
    CHECK(choose_scenes(files.config, {{}, {}, true}).withheld == std::vector<std::string>{"height"});
    CHECK(test::error_of([&] {
              choose_scenes(files.config, {{}, {}, false});
          }).exit_code() == ExitCode::input_missing);
}

TEST_CASE("a withheld reference needs a pixel size, so that the network sees the scale it knows") {
    Files files;
    CHECK(test::error_of([&] { choose_scenes(files.config, {{}, {"optical"}, false}); }).number() == 209);
    files.config.grid.reference.clear();
    CHECK(test::error_of([&] { choose_scenes(files.config, {{}, {"optical"}, false}); }).number() == 209);
    files.config.grid.resolution = 0.5;
    CHECK(choose_scenes(files.config, {{}, {"optical"}, false}).config.grid.reference == "height");
}

TEST_CASE("one scene is written to exactly -o, several into a folder or by a pattern") {
    const test::TemporaryFolder folder;
    const std::vector<raster::SceneFiles> one{{"a", {}, {}}};
    const std::vector<raster::SceneFiles> two{{"a", {}, {}}, {"b/c", {}, {}}};
    CHECK(map_paths("x/map.tif", one) == std::vector<std::filesystem::path>{"x/map.tif"});
    CHECK(map_paths(folder.path().string(), one)[0] == folder.path() / "a.tif");
    CHECK(map_paths("maps", two) == std::vector<std::filesystem::path>{"maps/a.tif", "maps/b_c.tif"});
    CHECK(map_paths("m/{scene}_map.tif", two)[1] == "m/b_c_map.tif");
    CHECK(test::error_of([&] { map_paths("", one); }).exit_code() == ExitCode::usage);
    CHECK(test::error_of([&] { map_paths("map.tif", two); }).exit_code() == ExitCode::usage);
    CHECK(test::error_of([&] { map_paths("m", {{"a/b", {}, {}}, {"a_b", {}, {}}}); }).number() == 110);
}
