#pragma once

#include <string>
#include <vector>

#include "report/recorded_run.hpp"

namespace terrane::report {

/// One page about one or several runs: their best scores, curves, the confusion matrix and class scores of
/// the best evaluation, previews, where their configurations differ, and each configuration. The page is
/// well-formed XML, needs nothing from elsewhere and runs no scripts; all text from runs is escaped.
std::string html_report(const std::vector<RecordedRun>& runs);

}  // namespace terrane::report
