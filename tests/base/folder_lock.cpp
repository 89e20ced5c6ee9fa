#include "base/folder_lock.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/leftovers.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using By = FolderLock::Settings::By;

namespace {

FolderLock::Settings settings(By by) {
    return {".held", 906, "the folder is used", "Wait.", by};
}

/// The error of a process that finds the folder locked, or nothing if it gets the lock.
std::string refusal(const std::filesystem::path& folder, By by) {
    try {
        const FolderLock lock(folder, settings(by));
        return {};
    } catch (const Error& error) {
        CHECK(error.number() == 906);
        CHECK(error.exit_code() == ExitCode::cannot_create);
        return error.message() + " " + error.fix();
    }
}

/// The tag of a process that has ended.
std::string dead_tag() {
    const pid_t child = ::fork();
    if (child == 0) std::_Exit(0);
    int status = 0;
    ::waitpid(child, &status, 0);
    return std::to_string(child) + process_tag().substr(process_tag().find('-'));
}

}  // namespace

TEST_CASE("a folder has one holder at a time, who is named, and is left as it was found", "[base]") {
    const By by = GENERATE(By::kernel, By::file);
    test::TemporaryFolder above;
    const auto folder = above.path() / "new";
    {
        const FolderLock lock(folder, settings(by));
        const std::string said = refusal(folder, by);
        CHECK_THAT(said, test::contains("the folder is used by process " + process_tag() + " right now.") &&
                             test::contains("Wait."));
    }
    CHECK_FALSE(std::filesystem::exists(folder));
    {
        const FolderLock again(folder, settings(by));
        write_file_atomically(folder / "result", "kept");
    }
    CHECK(std::filesystem::exists(folder / "result"));
    CHECK_FALSE(std::filesystem::exists(folder / ".held"));
}

TEST_CASE("the lock of a process that died is no lock", "[base]") {
    const By by = GENERATE(By::kernel, By::file);
    test::TemporaryFolder folder;
    write_file_atomically(folder.path() / ".held", dead_tag());
    CHECK(refusal(folder.path(), by).empty());
}

TEST_CASE("where the file is the lock, a holder on another host is believed and the way out is named",
          "[base]") {
    test::TemporaryFolder folder;
    write_file_atomically(folder.path() / ".held", "4711-elsewhere");
    const std::string said = refusal(folder.path(), By::file);
    CHECK_THAT(said,
               test::contains("process 4711-elsewhere") &&
                   test::contains("If that process is gone, remove " + (folder.path() / ".held").string()));
    CHECK(std::filesystem::exists(folder.path() / ".held"));
    CHECK(refusal(folder.path(), By::kernel).empty());  // the kernel knows that nobody holds it
}
