#include "base/fault.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/error.hpp"
#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using fault::Kind;
using fault::Place;

namespace {

struct Armed {
    explicit Armed(const std::string& text, int rank = 0) { fault::arm(text, rank); }
    ~Armed() { fault::disarm(); }
};

// How a child process ends that runs `action`.
template <typename Action>
int status_of(const Action& action) {
    const pid_t child = ::fork();
    if (child == 0) {
        action();
        std::_Exit(7);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

}  // namespace

TEST_CASE("ordered faults are read with place, rank and repetition", "[base]") {
    const auto faults = fault::parse(
        "nan_gradient@step=3;rank=1,io_error@save=2;error=ENOSPC;operation=fsync,"
        "sleep@collective=7;seconds=0.5;times=4");
    REQUIRE(faults.size() == 3);
    CHECK(faults[0].kind == Kind::nan_gradient);
    CHECK(faults[0].place == Place::step);
    CHECK(faults[0].number == 3);
    CHECK(faults[0].rank == 1);
    CHECK(faults[1].error == ENOSPC);
    CHECK(faults[1].operation == fault::FileOperation::fsync);
    CHECK(faults[2].seconds == 0.5);
    CHECK(faults[2].times == 4);
    for (const char* wrong :
         {"kil@step=3", "kill", "kill@step", "kill@step=x", "kill@step=-1", "kill@door=1",
          "nan_gradient@save=1", "io_error@step=1", "kill@step=1;rang=2", "io_error@save=1;error=EPERM"}) {
        INFO(wrong);
        CHECK_THROWS_WITH(fault::parse(wrong), test::contains("E0111"));
    }
}

TEST_CASE("a fault happens at its count and on its rank only", "[base]") {
    CHECK_FALSE(fault::armed());
    {
        const Armed other("nan_gradient@step=3;rank=1", 0);
        CHECK_FALSE(fault::armed());
    }
    const Armed armed("nan_gradient@step=3;rank=1;times=2", 1);
    CHECK_FALSE(fault::is_due(Kind::nan_gradient, Place::step, 2));
    CHECK(fault::is_due(Kind::nan_gradient, Place::step, 3));
    CHECK(fault::is_due(Kind::nan_gradient, Place::step, 4));
    CHECK_FALSE(fault::is_due(Kind::nan_gradient, Place::step, 5));
    CHECK_FALSE(fault::is_due(Kind::infinite_loss, Place::step, 3));
}

TEST_CASE("kill and exit0 end the process where they are due", "[base]") {
    const Armed armed("kill@step=2,exit0@collective=5");
    const int killed = status_of([] {
        fault::reached(Place::step, 1);
        fault::reached(Place::step, 2);
    });
    CHECK((WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL));
    const int left = status_of([] { fault::reached(Place::collective, 5); });
    CHECK((WIFEXITED(left) && WEXITSTATUS(left) == 0));
    const int went_on = status_of([] { fault::reached(Place::step, 1); });
    CHECK((WIFEXITED(went_on) && WEXITSTATUS(went_on) == 7));
}

TEST_CASE("file operations of a save fail as ordered, others never do", "[base]") {
    test::TemporaryFolder folder;
    const auto file = folder.path() / "file";
    const Armed armed(
        "io_error@save=1;error=ENOSPC;operation=write,short_write@save=2,"
        "io_error@save=3;operation=fsync,io_error@save=4;operation=rename;error=EROFS");
    CHECK_NOTHROW(write_file_atomically(file, "before"));
    {
        const fault::Saving saving;
        CHECK_THROWS_WITH(write_file_atomically(file, "x"), test::contains("No space left"));
    }
    {
        const fault::Saving saving;
        CHECK_NOTHROW(write_file_atomically(file, "written in pieces"));
        CHECK(read_text_file(file) == "written in pieces");
    }
    {
        const fault::Saving saving;
        CHECK_THROWS_WITH(write_file_atomically(file, "x"), test::contains("fsync"));
    }
    {
        const fault::Saving saving;
        CHECK_THROWS_WITH(write_file_atomically(file, "x"), test::contains("Read-only file system"));
    }
    CHECK(read_text_file(file) == "written in pieces");
    CHECK_FALSE(std::filesystem::exists(folder.path() / "file.tmp"));
}

TEST_CASE("a process can be killed after any byte of a save", "[base]") {
    test::TemporaryFolder folder;
    const auto file = folder.path() / "file";
    const Armed armed("kill@saved_byte=5");
    const int killed = status_of([&] {
        const fault::Saving saving;
        CheckedFile out(file);
        out.write(std::as_bytes(std::span("0123456789", 10)));
    });
    CHECK((WIFSIGNALED(killed) && WTERMSIG(killed) == SIGKILL));
    CHECK(std::filesystem::file_size(file) == 5);
}
