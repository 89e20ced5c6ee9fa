// terrane bench step plans before it allocates: a batch too large for --ram is refused with the one that
// fits.
#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/shell.hpp"

using terrane::test::shell;
using terrane::test::ShellResult;

namespace {

ShellResult bench_step(const std::string& options) {
    return shell(std::string(TERRANE_PROGRAM) +
                 " bench step --bands 3 --size 64 --classes 5 -s model.encoder_width=8 --threads 1 --steps 1 "
                 "--warm-up 1 " +
                 options);
}

}  // namespace

TEST_CASE("bench step names the largest batch that fits and runs with it", "[app]") {
    const ShellResult refused = bench_step("--batch 64 --ram 60 2>&1");
    INFO(refused.output);
    REQUIRE(refused.exit_code == 69);
    CHECK(refused.output.find("E0751") != std::string::npos);
    const std::string phrase = "--batch ";
    const auto place = refused.output.find(phrase, refused.output.find("largest batch"));
    REQUIRE(place != std::string::npos);
    const int batch = std::stoi(refused.output.substr(place + phrase.size()));
    REQUIRE(batch > 0);
    REQUIRE(batch < 64);

    CHECK(bench_step("--batch " + std::to_string(batch + 1) + " --ram 60 2>&1").exit_code == 69);
    const ShellResult fitting = bench_step("--batch " + std::to_string(batch) + " --ram 60 2>&-");
    INFO(fitting.output);
    REQUIRE(fitting.exit_code == 0);
    const auto json = nlohmann::json::parse(fitting.output);
    CHECK(json.at("batch") == batch);
    CHECK(json.at("planned_bytes").get<std::size_t>() <= std::size_t{60} << 20);
}

TEST_CASE("bench step refuses a network that does not fit with one sample", "[app]") {
    const ShellResult refused = bench_step("--batch 1 --ram 1 2>&1");
    INFO(refused.output);
    CHECK(refused.exit_code == 69);
    CHECK(refused.output.find("Not even one sample") != std::string::npos);
}
