#pragma once

#include <filesystem>

#include "report/canvas.hpp"
#include "report/scores_output.hpp"

namespace terrane::report {

/// The confusion matrix as a picture: one row per class of the truth, one column per predicted class, each
/// cell coloured and labelled by its share of the row's pixels in percent. A class without truth has an empty
/// row.
Canvas draw_confusion(const ConfusionMatrix& matrix, const ScoreContext& context);

/// Draws it into a PNG, published by rename. Throws Error E0901 or E0903.
void write_confusion_picture(const std::filesystem::path& path, const ConfusionMatrix& matrix,
                             const ScoreContext& context);

}  // namespace terrane::report
