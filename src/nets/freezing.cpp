#include "nets/freezing.hpp"

#include <algorithm>
#include <array>
#include <regex>

#include "graph/freeze.hpp"

namespace terrane::nets {

namespace {

/// The parameters of each network's encoder. Networks that are not listed call theirs "backbone".
std::string encoder_expression(const std::string& network) {
    struct Encoder {
        std::string_view network, expression;
    };
    constexpr std::array encoders{
        Encoder{"duet", "^encoder\\."},
        Encoder{"res50_aspp_lorm", "^(conv1|bn1|layer[1-4])\\."},
        Encoder{"setr_light", "^(pos_embed$|(patch_embed|blocks|norm)\\.)"},
        Encoder{"setr_mla", "^backbone\\.(cls_token$|pos_embed$|(patch_embed|blocks)\\.)"},
    };
    for (const Encoder& encoder : encoders) {
        if (encoder.network == network) return std::string(encoder.expression);
    }
    return "^backbone\\.";
}

/// One wish of the configuration.
struct Rule {
    std::string key, text;
    std::regex expression;

    bool matches(const std::string& name) const { return std::regex_search(name, expression); }
};

std::vector<Rule> rules_of(const config::Model& model, const std::vector<std::string>& expressions) {
    std::vector<Rule> rules;
    if (model.frozen == "encoder") {
        const std::string text = encoder_expression(model.name);
        rules.push_back({"model.frozen", text, std::regex(text)});
    }
    for (const std::string& text : expressions) {
        try {
            rules.push_back({"optim.freeze", text, std::regex(text)});
        } catch (const std::regex_error& error) {
            throw Error(
                ExitCode::config_invalid, 512,
                fmt::format("optim.freeze: \"{}\" is not a regular expression: {}.", text, error.what()));
        }
    }
    return rules;
}

}  // namespace

Frozen freeze(graph::Graph& graph, const config::Model& model, const std::vector<std::string>& expressions,
              const std::optional<std::set<std::string>>& loaded) {
    if (model.name == "pkdiff" && (model.frozen != "none" || !expressions.empty())) {
        throw Error(ExitCode::config_invalid, 512,
                    "pkdiff is trained as a whole: nothing of it can be frozen.",
                    "Remove model.frozen and optim.freeze.");
    }
    std::set<std::string> wanted;
    Frozen result;
    for (const Rule& rule : rules_of(model, expressions)) {
        bool matched = false;
        for (const graph::Value& value : graph.values) {
            if (value.kind != graph::ValueKind::parameter || !rule.matches(value.name)) continue;
            matched = true;
            if (value.trainable == graph::Trainable::no) continue;  // no loss depends on it
            if (!loaded || loaded->count(value.name) > 0) {
                wanted.insert(value.name);
            } else {
                result.unloaded.push_back(value.name);
            }
        }
        if (matched) continue;
        throw Error(
            ExitCode::config_invalid, 512,
            fmt::format("{}: \"{}\" matches none of {}'s parameters.", rule.key, rule.text, model.name),
            "List the layers with 'terrane inspect'.");
    }
    result.names = graph::freeze(
        graph, [&](const std::string& name) { return wanted.count(name) > 0; },
        model.frozen_dropout ? graph::FrozenDropout::on : graph::FrozenDropout::off);
    return result;
}

}  // namespace terrane::nets
