#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "report/append_file.hpp"

namespace terrane::report {

/// A comma-separated file that grows by one row per step (or per evaluation), first line: names of columns. A
/// run that goes on from a checkpoint removes what was written after it, so that no step has two rows.
class StepTable {
  public:
    /// `step_column`: which column, from 0, holds the step. Throws Error E0901.
    StepTable(std::filesystem::path path, std::size_t step_column);

    /// Removes the rows of later steps than `step`. Throws Error E0901.
    void go_on_after(std::int64_t step);
    /// Appends a row; `header` first, in a file without content. Throws Error E0901 (74).
    void write(const std::string& header, const std::string& row);

  private:
    std::filesystem::path path_;
    std::size_t step_column_;
    std::unique_ptr<AppendFile> file_;
    bool empty_ = true;
};

}  // namespace terrane::report
