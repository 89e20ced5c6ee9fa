#include "optim/parameter_groups.hpp"

#include <algorithm>
#include <regex>

#include "base/error.hpp"

namespace terrane::optim {

namespace {

std::vector<std::regex> compile(std::span<const config::ParameterGroup> rules) {
    std::vector<std::regex> compiled;
    for (const config::ParameterGroup& rule : rules) {
        try {
            compiled.emplace_back(rule.match);
        } catch (const std::regex_error& error) {
            throw Error(ExitCode::config_invalid, 512,
                        fmt::format("optim.groups: \"{}\" is not a regular expression: {}.", rule.match,
                                    error.what()));
        }
    }
    return compiled;
}

}  // namespace

DecayScope decay_scope_from_name(const std::string& name) {
    if (name == "weights") return DecayScope::weights;
    if (name == "all") return DecayScope::all;
    throw Error(ExitCode::config_invalid, 511, fmt::format("optim.decay \"{}\" is unknown.", name),
                "Choose weights or all.");
}

ParameterGroups group_parameters(std::span<const ParameterPlace> parameters,
                                 std::span<const config::ParameterGroup> rules, DecayScope decay) {
    ParameterGroups groups;
    for (const config::ParameterGroup& rule : rules) groups.matches.push_back({rule.match, 0, 0});
    const std::vector<std::regex> compiled = compile(rules);
    std::vector<bool> matched(rules.size(), false);
    std::vector<device::UpdateSegment> segments;
    for (const ParameterPlace& parameter : parameters) {
        device::UpdateSegment segment{parameter.offset, parameter.shape.elements(), 1, 1};
        bool taken = false;
        for (std::size_t i = 0; i < rules.size(); ++i) {
            if (!std::regex_search(parameter.name, compiled[i])) continue;
            matched[i] = true;  // also when an earlier rule won: the rule is not a typing mistake
            if (taken) continue;
            taken = true;
            groups.matches[i].tensors += 1;
            groups.matches[i].elements += parameter.shape.elements();
            segment.rate_multiplier = static_cast<float>(rules[i].lr_mult);
            segment.decay_multiplier = static_cast<float>(rules[i].decay_mult);
            segment.first_step = rules[i].freeze_until;
        }
        if (decay == DecayScope::weights && parameter.shape.rank() < 2) segment.decay_multiplier = 0;
        segments.push_back(segment);
    }
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (matched[i]) continue;
        throw Error(ExitCode::config_invalid, 512,
                    fmt::format("optim.groups: the rule \"{}\" matches none of the model's {} parameters.",
                                rules[i].match, parameters.size()),
                    "List the names with 'terrane inspect'.");
    }

    std::sort(segments.begin(), segments.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    std::vector<device::UpdateSegment>& merged = groups.segments;
    for (const device::UpdateSegment& segment : segments) {
        if (!merged.empty()) {
            device::UpdateSegment& last = merged.back();
            if (last.offset + last.length == segment.offset &&
                last.rate_multiplier == segment.rate_multiplier &&
                last.decay_multiplier == segment.decay_multiplier && last.first_step == segment.first_step) {
                last.length += segment.length;
                continue;
            }
        }
        merged.push_back(segment);
    }
    return groups;
}

}  // namespace terrane::optim
