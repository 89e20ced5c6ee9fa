#include "base/leftovers.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

TEST_CASE("only what dead processes of this host left behind is removed", "[base]") {
    const terrane::test::TemporaryFolder folder;
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    const std::string own = terrane::process_tag();
    const std::string host = own.substr(own.find('-'));
    const std::string dead = std::to_string(child) + host;
    const auto make = [&](const std::string& name) { std::ofstream(folder.path() / name) << "x"; };

    const std::set<std::string> kept = {"map.tif",
                                        "map.tif." + own + ".tmp.tif",
                                        "map.tif." + std::to_string(child) + "-another.tmp.tif",
                                        "map.tif." + dead + "x.tmp.tif",
                                        "map.tif.-5" + host,
                                        "map.tif.99999999999999999999" + host,
                                        "other.tif." + dead + ".tmp.tif"};
    for (const std::string& name : kept) make(name);
    make("map.tif." + dead);
    make("map.tif." + dead + ".tmp.tif");
    make("map.tif." + dead + ".tmp.tif.aux.xml");
    terrane::remove_leftovers(folder.path(), "map.tif.");
    std::set<std::string> left;
    for (const auto& entry : fs::directory_iterator(folder.path()))
        left.insert(entry.path().filename().string());
    CHECK(left == kept);

    fs::create_directory(folder.path() / ("map.tif.parts-" + dead));
    make("map.tif.parts-" + dead + "/part");
    terrane::remove_leftovers(folder.path(), "map.tif.parts-");
    CHECK_FALSE(fs::exists(folder.path() / ("map.tif.parts-" + dead)));
    terrane::remove_leftovers(folder.path() / "missing", "map.tif.");
}
