#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "weights/tensor_file.hpp"

namespace terrane::weights {

/// A tensor of the network that wants numbers: a parameter or a running statistic.
struct ImportTarget {
    std::string name;
    Shape shape;  ///< in terrane's layout: convolutions [K, R, S, C]
};

/// How four-dimensional weights lie in the file.
enum class WeightLayout {
    pytorch,  ///< convolutions [K, C, R, S], transposed ones [C, K, R, S]
    terrane,  ///< [K, R, S, C] and [C, R, S, K]
};

/// How positions for one image size become positions for another.
enum class PositionResize { bilinear, bicubic };
/// How filters for some bands become filters for others: timm's rule (filters repeated in turn and scaled by
/// the ratio of the numbers of bands), or the first bands copied and further ones zero.
enum class BandExtension { repeat, zero };

struct ImportOptions {
    WeightLayout layout = WeightLayout::pytorch;
    PositionResize positions = PositionResize::bilinear;
    BandExtension bands = BandExtension::repeat;
};

/// What happens to the numbers on their way.
enum class Fit { same, joined, resized, extended };

struct ImportItem {
    std::size_t target = 0;            ///< index of the ImportTarget
    std::vector<std::size_t> sources;  ///< indices of tensors of the file; three for queries, keys and values
    std::optional<std::size_t> scale;  ///< a tensor [K] by which the rows are multiplied
    Fit fit = Fit::same;
    std::string detail;  ///< for the report: "3 bands to 5"
};

/// What an import does, decided by names and shapes alone.
struct ImportPlan {
    struct Skipped {
        std::string target, source, reason;
    };

    std::string file;
    std::string family;
    ImportOptions options;
    std::vector<ImportTarget> targets;
    std::vector<ImportItem> items;     ///< in the order of the targets
    std::vector<Skipped> skipped;      ///< a tensor of that name is there, but its shape doesn't fit
    std::vector<std::string> missing;  ///< targets that keep their initial numbers, the skipped ones included
    std::vector<std::string> unexpected;  ///< tensors of the file that nothing took
    std::vector<std::string> notes;

    /// Names of the targets that get numbers. What is not among them must not be frozen.
    std::set<std::string> loaded_names() const;
    /// For the terminal: a summary and what deserves attention, one line each.
    std::vector<std::string> lines() const;
    std::string to_json() const;
};

/// Finds the family of names that fills most of the network and assigns the file's tensors to it.
ImportPlan plan_import(const TensorFile& file, std::vector<ImportTarget> targets,
                       const ImportOptions& options);
/// The same from names and shapes, for tests. The plan's file is empty.
ImportPlan plan_import(std::span<const TensorFile::Entry> tensors, std::vector<ImportTarget> targets,
                       const ImportOptions& options);

/// The numbers of one item in the target's shape and layout.
std::vector<float> import_values(const TensorFile& file, const ImportPlan& plan, const ImportItem& item);

}  // namespace terrane::weights
