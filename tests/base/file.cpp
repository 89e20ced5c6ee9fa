#include "base/file.hpp"

#include <filesystem>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

namespace fs = std::filesystem;

TEST_CASE("a file written atomically holds the content and leaves no temporary", "[base]") {
    terrane::test::TemporaryFolder folder;
    const fs::path path = folder.path() / "state.json";
    terrane::write_file_atomically(path, "first");
    terrane::write_file_atomically(path, "second");
    CHECK(terrane::read_text_file(path) == "second");
    CHECK(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{}) == 1);
}

TEST_CASE("writing into a missing folder is an error that names the path", "[base]") {
    terrane::test::TemporaryFolder folder;
    try {
        terrane::write_file_atomically(folder.path() / "no" / "file", "x");
        FAIL("no error");
    } catch (const terrane::Error& error) {
        CHECK(error.exit_code() == terrane::ExitCode::cannot_create);
        CHECK(error.message().find("no/file") != std::string::npos);
    }
}

TEST_CASE("reading a missing file is an input-missing error", "[base]") {
    try {
        terrane::read_text_file("/nonexistent/file");
        FAIL("no error");
    } catch (const terrane::Error& error) {
        CHECK(error.exit_code() == terrane::ExitCode::input_missing);
    }
}
