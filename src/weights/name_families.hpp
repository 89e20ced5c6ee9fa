#pragma once

#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace terrane::weights {

/// One step from a project's name of a tensor to the common one: what the expression finds is replaced.
struct NameRule {
    std::regex expression;
    std::string replacement;
};

/// How the tensors of a kind of checkpoint are called. Source and target names are both brought to a common
/// spelling; those that then are equal belong together.
struct NameFamily {
    std::string name;                    ///< for the report: "torchvision and mmseg ResNet"
    std::vector<NameRule> source_rules;  ///< applied in turn to names of the file
    std::vector<NameRule> target_rules;  ///< applied in turn to names of the network, without their prefix
    /// A name that every member has, in the common spelling. Wherever the network has it, what stands before
    /// is a prefix: "backbone.", or "encoder.optical." and "encoder.height.", which then all get the weights.
    std::string anchor;
};

/// All families, the one with the network's own names first; of equals the first wins.
const std::vector<NameFamily>& name_families();

std::string apply_rules(const std::vector<NameRule>& rules, std::string name);

/// Endings by which separate query, key and value tensors are known in the common spelling; joined in this
/// order they are the tensor without the ending.
inline constexpr std::string_view qkv_endings[] = {"#q", "#k", "#v"};

/// Whether a tensor is the weight of a network's first convolution, whose input channels are bands.
bool is_first_convolution(std::string_view name);
/// Whether a tensor is a table of learned positions [1, tokens, channels].
bool is_position_table(std::string_view name);
/// Counters and the like that no network here has: not worth a line in a report.
bool is_negligible(std::string_view name);

}  // namespace terrane::weights
