#include "optim/parameter_groups.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

const std::vector<optim::ParameterPlace> parameters{{"encoder.a.conv.weight", {4, 3, 3, 2}, 0},
                                                    {"encoder.a.bn.weight", {4}, 128},
                                                    {"encoder.b.conv.weight", {4, 3, 3, 2}, 192},
                                                    {"classifier.weight", {5, 1, 1, 4}, 264}};

}  // namespace

TEST_CASE("the first rule that matches wins and one-dimensional parameters are never decayed") {
    const std::vector<config::ParameterGroup> rules{{"^encoder\\.a", 0.1, 1}, {"^encoder", 0.5, 2}};
    const auto segments = optim::group_parameters(parameters, rules).segments;
    REQUIRE(segments.size() == 4);
    CHECK(segments[0].rate_multiplier == 0.1f);
    CHECK(segments[0].decay_multiplier == 1);
    CHECK(segments[1].offset == 128);
    CHECK(segments[1].length == 4);
    CHECK(segments[1].rate_multiplier == 0.1f);
    CHECK(segments[1].decay_multiplier == 0);
    CHECK(segments[2].rate_multiplier == 0.5f);
    CHECK(segments[2].decay_multiplier == 2);
    CHECK(segments[3].rate_multiplier == 1);
}

TEST_CASE("a rule can freeze its parameters until a step") {
    const std::vector<config::ParameterGroup> rules{{"^encoder\\.b", 1, 1, 20}};
    const auto segments = optim::group_parameters(parameters, rules).segments;
    REQUIRE(segments.size() == 4);
    CHECK(segments[2].offset == 192);
    CHECK(segments[2].first_step == 20);
    CHECK(segments[3].first_step == 0);
}

TEST_CASE("neighbours with equal multipliers share a segment") {
    const auto segments = optim::group_parameters(parameters, {}).segments;
    REQUIRE(segments.size() == 3);
    CHECK(segments[2].offset == 192);
    CHECK(segments[2].length == 72 + 20);
}

TEST_CASE("a rule that matches nothing or is no expression is named") {
    const std::vector<config::ParameterGroup> typo{{"^encodr", 1, 1}};
    CHECK_THROWS_WITH(optim::group_parameters(parameters, typo), test::contains("\"^encodr\" matches none"));
    const std::vector<config::ParameterGroup> broken{{"(", 1, 1}};
    CHECK_THROWS_WITH(optim::group_parameters(parameters, broken), test::contains("\"(\" is not a regular"));
}

TEST_CASE("a rule that is always beaten by an earlier one is not called a mistake") {
    const std::vector<config::ParameterGroup> rules{{"^encoder", 0.1, 1}, {"conv", 0.5, 1}};
    CHECK_NOTHROW(optim::group_parameters(parameters, rules));
}

TEST_CASE("every rule says how many tensors and elements it was the first to match") {
    const std::vector<config::ParameterGroup> rules{{"^encoder\\.a", 0.1, 1}, {"conv", 0.5, 1}};
    const auto matches = optim::group_parameters(parameters, rules).matches;
    REQUIRE(matches.size() == 2);
    CHECK(matches[0].tensors == 2);
    CHECK(matches[0].elements == 72 + 4);
    CHECK(matches[1].tensors == 1);
    CHECK(matches[1].elements == 72);
}

TEST_CASE("optim.decay = all decays biases and norms, too, as PyTorch's optimizers do") {
    const auto segments =
        optim::group_parameters(parameters, {}, optim::decay_scope_from_name("all")).segments;
    for (const auto& segment : segments) CHECK(segment.decay_multiplier == 1);
    CHECK_THROWS_WITH(optim::decay_scope_from_name("some"), test::contains("\"some\" is unknown"));
}
