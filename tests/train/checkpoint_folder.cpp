#include "train/checkpoint_folder.hpp"

#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
namespace fs = std::filesystem;

namespace {

void write_content(const fs::path& folder) {
    write_file_atomically(folder / "model.safetensors", std::string_view("numbers"));
    write_file_atomically(folder / "state.json", std::string_view("{}"));
}

}  // namespace

TEST_CASE("a published checkpoint is complete, verified and linked") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path() / "ckpt");
    checkpoints.publish(4800, write_content);
    checkpoints.link("last", 4800);
    CHECK(fs::exists(folder.path() / "ckpt/step-00004800/COMPLETE"));
    CHECK_NOTHROW(train::verify_checkpoint(folder.path() / "ckpt/last"));
    CHECK(fs::read_symlink(folder.path() / "ckpt/last") == "step-00004800");
    CHECK(checkpoints.linked("last") == 4800);
    CHECK_FALSE(checkpoints.linked("best"));
    checkpoints.publish(4900, write_content);
    checkpoints.link("last", 4900);
    CHECK(checkpoints.linked("last") == 4900);
    CHECK(checkpoints.steps() == std::vector<std::int64_t>{4800, 4900});
}

TEST_CASE("a save that fails leaves the earlier checkpoint and nothing half-written") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path() / "ckpt");
    checkpoints.publish(1, write_content);
    checkpoints.link("last", 1);
    const auto fail = [](const fs::path& target) {
        write_content(target);
        throw Error(ExitCode::io_error, 901, "no space left.");
    };
    CHECK_THROWS_AS(checkpoints.publish(2, fail), Error);
    CHECK(checkpoints.newest_good() == 1);
    CHECK_FALSE(fs::exists(folder.path() / "ckpt/step-00000002.tmp"));
    CHECK_FALSE(fs::exists(folder.path() / "ckpt/step-00000002"));
}

TEST_CASE("a changed, missing or unfinished file is found and an older checkpoint taken") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    for (const std::int64_t step : {10, 20, 30}) checkpoints.publish(step, write_content);
    checkpoints.link("last", 30);
    CHECK(checkpoints.newest_good() == 30);

    std::fstream(checkpoints.path_of(30) / "model.safetensors", std::ios::in | std::ios::out).put('N');
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(30)),
                      test::contains("model.safetensors has changed"));
    CHECK(checkpoints.newest_good() == 20);

    fs::remove(checkpoints.path_of(20) / "state.json");
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(20)),
                      test::contains("state.json is missing"));
    CHECK(checkpoints.newest_good() == 10);

    fs::remove(checkpoints.path_of(10) / "COMPLETE");
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(10)), test::contains("not complete"));
    CHECK_FALSE(checkpoints.newest_good());
    CHECK_THROWS_AS(train::verify_checkpoint(folder.path() / "nothing"), Error);
}

TEST_CASE("the link decides which checkpoint is the newest, so a resumed older one is not jumped over") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    for (const std::int64_t step : {10, 20}) checkpoints.publish(step, write_content);
    checkpoints.link("last", 10);
    CHECK(checkpoints.newest_good() == 10);
}

TEST_CASE("pruning keeps the newest, the last and the best") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    for (const std::int64_t step : {10, 20, 30, 40, 50}) checkpoints.publish(step, write_content);
    fs::create_directory(folder.path() / "notes");
    checkpoints.link("last", 50);
    checkpoints.link("best", 20);
    checkpoints.prune(1);
    CHECK(checkpoints.steps() == std::vector<std::int64_t>{20, 40, 50});
    CHECK(fs::exists(folder.path() / "notes"));
    checkpoints.prune(0);
    CHECK(checkpoints.steps() == std::vector<std::int64_t>{20, 50});
}

TEST_CASE("a checksum list that points elsewhere or holds nothing is refused") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    checkpoints.publish(1, write_content);
    const fs::path sums = checkpoints.path_of(1) / "SHA256SUMS";
    CHECK_NOTHROW(train::verify_checkpoint(checkpoints.path_of(1)));
    write_file_atomically(sums, read_text_file(sums) + " ");
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(1)), test::contains("has changed"));
    // As written before COMPLETE held the list's checksum.
    write_file_atomically(checkpoints.path_of(1) / "COMPLETE", std::string_view("terrane checkpoint\n"));
    write_file_atomically(sums, std::string(64, 'a') + "  ../../etc/passwd\n");
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(1)), test::contains("elsewhere"));
    write_file_atomically(sums, std::string_view(""));
    CHECK_THROWS_WITH(train::verify_checkpoint(checkpoints.path_of(1)), test::contains("empty"));
}

TEST_CASE(
    "before writing, what killed saves left is removed and nothing else, and the time to save is measured") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    checkpoints.publish(10, write_content);
    checkpoints.publish(20, write_content);
    fs::remove(checkpoints.path_of(20) / "COMPLETE");  // a removal that was interrupted
    fs::create_directory(folder.path() / "step-00000060.tmp");
    fs::create_directory(folder.path() / "notes");
    const auto room = checkpoints.prepare(1000);
    CHECK(room.leftovers == 2);
    CHECK(room.seconds > 0);
    CHECK(room.free > 0);
    CHECK(checkpoints.steps() == std::vector<std::int64_t>{10});
    CHECK(fs::exists(folder.path() / "notes"));
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}) == 2);
    // Nobody has an exabyte.
    CHECK_THROWS_WITH(checkpoints.prepare(std::size_t{1} << 60), test::contains("E0613"));
}

TEST_CASE("a checkpoint that takes the place of one of the same step never leaves it missing") {
    test::TemporaryFolder folder;
    train::CheckpointFolder checkpoints(folder.path());
    checkpoints.publish(10, write_content);
    checkpoints.publish(10, [](const fs::path& target) {
        write_file_atomically(target / "model.safetensors", std::string_view("other numbers"));
    });
    CHECK_NOTHROW(train::verify_checkpoint(checkpoints.path_of(10)));
    CHECK(read_text_file(checkpoints.path_of(10) / "model.safetensors") == "other numbers");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}) == 1);
}
