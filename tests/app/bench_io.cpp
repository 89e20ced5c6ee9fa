// terrane bench io measures what it says, on one and on several ranks, and leaves nothing behind.
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using terrane::test::shell;
using terrane::test::ShellResult;
using terrane::test::TemporaryFolder;

namespace {

void require_speed(const nlohmann::json& speed) {
    REQUIRE(speed.at("per_rank").get<double>() > 0);
    REQUIRE(speed.at("all_ranks").get<double>() >= speed.at("per_rank").get<double>());
    REQUIRE(speed.at("per_rank_median").get<double>() <= speed.at("per_rank").get<double>());
}

}  // namespace

TEST_CASE("bench io reports every speed as JSON and removes what it wrote", "[app]") {
    const TemporaryFolder folder;
    const std::string arguments = std::string(TERRANE_PROGRAM) +
                                  " bench io --size 384 --seconds 0.02 --step-seconds 0.001 --map-size 200 "
                                  "--readers 1 --readers 3 -o " +
                                  folder.path().string();
    for (const int ranks : {1, 2}) {
        const std::string launch =
            ranks == 1 ? "" : std::string(TERRANE_MPIRUN) + " -n " + std::to_string(ranks) + " ";
        const ShellResult result = shell("( " + launch + arguments + " ) 2>&-");
        INFO(result.output);
        REQUIRE(result.exit_code == 0);
        const auto json = nlohmann::json::parse(result.output);
        CHECK(json.at("ranks") == ranks);
        REQUIRE(json.at("tile_reading").size() == 2);
        for (const auto& row : json.at("tile_reading")) {
            CHECK(row.at("tile") == 128);
            require_speed(row.at("bytes_per_second"));
            require_speed(row.at("memory_copy_bytes_per_second"));
        }
        CHECK(json.at("tile_reading")[1].at("threads_per_rank") == 3);
        REQUIRE(json.at("feeding").size() == 1);
        require_speed(json.at("feeding")[0].at("tiles_per_second"));
        CHECK(json.at("feeding")[0].at("io_wait").get<double>() <= 1);
        REQUIRE(json.at("raster_reading").size() == 3);
        for (const auto& row : json.at("raster_reading")) require_speed(row.at("pixels_per_second"));
        require_speed(json.at("map_writing").at("part_pixels_per_second"));
        CHECK(std::filesystem::is_empty(folder.path()));
    }
}

TEST_CASE("bench io refuses numbers that can't be measured with", "[app]") {
    const std::string bench = std::string(TERRANE_PROGRAM) + " bench io ";
    CHECK(shell(bench + "--readers 0").exit_code == 2);
    CHECK(shell(bench + "--seconds 0").exit_code == 2);
    CHECK(shell(bench + "--map-size 1").exit_code == 2);
    CHECK(shell(bench + "-o /nonexistent").exit_code == 73);
}
