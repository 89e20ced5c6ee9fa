#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "report/metrics.hpp"

namespace terrane::report {

struct ScoredClass {
    std::string name;
    std::array<int, 3> color{0, 0, 0};
};

/// What belongs to a score for it to mean something.
struct ScoreContext {
    std::string split;     ///< "test"
    std::string protocol;  ///< one line: windows, overlap, ignored labels, which pixels count
    std::string weights;   ///< the checkpoint; empty if maps of any origin were scored
    std::int64_t step = 0;
    std::vector<ScoredClass> classes;  ///< in the order of the matrix
    std::string maps{};                ///< the maps; empty if a checkpoint was scored
    std::int64_t unpredicted = 0;      ///< labelled pixels that the maps leave out; not in the matrix
};

/// The table that evaluate prints: one line per class, the means, absent classes named as absent, the
/// protocol.
std::string score_table(const Scores& scores, const ScoreContext& context);

/// Writes metrics.json, confusion.csv and confusion.png into the folder (created if missing), each by rename.
/// Throws Error E0901.
void write_scores(const std::filesystem::path& folder, const ConfusionMatrix& matrix,
                  const ScoreContext& context);

}  // namespace terrane::report
