#include "predict/heartbeat.hpp"

#include <filesystem>
#include <thread>

#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using terrane::predict::Heartbeat;

TEST_CASE("a rank hears the others' beats, each once, and never its own") {
    const terrane::test::TemporaryFolder folder;
    Heartbeat first(folder.path(), 0), second(folder.path(), 1);
    CHECK_FALSE(first.others_beat());
    second.beat();
    CHECK_FALSE(second.others_beat());
    CHECK(first.others_beat());
    CHECK_FALSE(first.others_beat());
    second.beat();  // within the second: nothing new
    CHECK_FALSE(first.others_beat());
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    second.beat();
    CHECK(first.others_beat());

    Heartbeat nowhere(folder.path() / "missing", 2);
    nowhere.beat();
    CHECK_FALSE(nowhere.others_beat());
}

TEST_CASE("a rank that is alone leaves no file where it was started") {
    const terrane::test::TemporaryFolder folder;
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(folder.path());
    Heartbeat alone({}, 0);
    alone.beat();
    CHECK_FALSE(alone.others_beat());
    std::filesystem::current_path(before);
    CHECK(std::filesystem::is_empty(folder.path()));
}
