// The sources against docs/errors.md.
#include <filesystem>
#include <regex>
#include <set>

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/places.hpp"

namespace fs = std::filesystem;

namespace {

std::set<int> documented_numbers() {
    const std::string text = terrane::read_text_file(terrane::test::source_folder() / "docs/errors.md");
    std::set<int> numbers;
    static const std::regex one("E0([0-9]{3})( … E0([0-9]{3}))?");
    for (std::sregex_iterator found(text.begin(), text.end(), one), end; found != end; ++found) {
        const int first = std::stoi((*found)[1]);
        const int last = (*found)[3].matched ? std::stoi((*found)[3]) : first;
        for (int number = first; number <= last; ++number) numbers.insert(number);
    }
    return numbers;
}

}  // namespace

TEST_CASE("every error number of the sources is in docs/errors.md", "[app]") {
    const std::set<int> documented = documented_numbers();
    REQUIRE(documented.size() > 50);
    // Error(ExitCode::config_invalid, 502, ...): the number follows the exit code, perhaps on the next line.
    static const std::regex use("ExitCode::[a-z_]+,\\s*([0-9]{3}),");
    int found_in_sources = 0;
    for (const char* folder : {"src", "kernels"}) {
        for (const auto& entry : fs::recursive_directory_iterator(terrane::test::source_folder() / folder)) {
            if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
            const std::string text = terrane::read_text_file(entry.path());
            for (std::sregex_iterator found(text.begin(), text.end(), use), end; found != end; ++found) {
                ++found_in_sources;
                INFO(entry.path() << ": E0" << (*found)[1]);
                CHECK(documented.contains(std::stoi((*found)[1])));
            }
        }
    }
    CHECK(found_in_sources > 50);
}
