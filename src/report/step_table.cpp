#include "report/step_table.hpp"

#include <charconv>
#include <fstream>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"

namespace terrane::report {

namespace {

/// The step of a row; none in the line of names. The columns before it are numbers.
std::optional<std::int64_t> step_of(const std::string& line, std::size_t column) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < column; ++i) {
        begin = line.find(',', begin);
        if (begin == std::string::npos) return std::nullopt;
        ++begin;
    }
    std::int64_t step = 0;
    const auto [end, failure] = std::from_chars(line.data() + begin, line.data() + line.size(), step);
    if (failure != std::errc() || (end != line.data() + line.size() && *end != ',')) return std::nullopt;
    return step;
}

}  // namespace

StepTable::StepTable(std::filesystem::path path, std::size_t step_column)
    : path_(std::move(path)),
      step_column_(step_column),
      file_(std::make_unique<AppendFile>(path_)),
      empty_(file_->was_empty()) {}

void StepTable::go_on_after(std::int64_t step) {
    std::ifstream rows(path_, std::ios::binary);
    std::filesystem::path temporary = path_;
    temporary += ".tmp";
    CheckedFile kept(temporary);
    bool removed = false;
    std::string line;
    while (std::getline(rows, line)) {
        if (step_of(line, step_column_).value_or(step) > step) {
            removed = true;
            continue;
        }
        line += '\n';
        kept.write(std::as_bytes(std::span(line)));
    }
    if (rows.bad()) throw Error(ExitCode::io_error, 901, fmt::format("can't read {}.", path_.string()));
    kept.finish();
    if (!removed) {
        std::filesystem::remove(temporary);
        return;
    }
    publish_by_rename(temporary, path_);
    file_ = std::make_unique<AppendFile>(path_);
    empty_ = file_->was_empty();
}

void StepTable::write(const std::string& header, const std::string& row) {
    if (empty_) file_->write_line(header);
    empty_ = false;
    file_->write_line(row);
}

}  // namespace terrane::report
