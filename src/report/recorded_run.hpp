#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace terrane::report {

/// The numbers of a comma-separated file with a line of names.
struct NumberTable {
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<double>>> rows;  ///< an empty field has no value

    /// The values of a column by row; empty if there is no such column.
    std::vector<std::optional<double>> column(const std::string& name) const;
};

/// What a run's folder holds, read back for a report.
struct RecordedRun {
    struct Start {
        std::string time, command, message_layer;
        std::size_t ranks = 0;
    };
    struct ClassRow {
        std::string name;
        std::optional<double> iou, precision, recall, f1;
        std::vector<std::int64_t> confusion;  ///< pixels by predicted class
    };
    /// An evaluation of confusion/.
    struct Evaluation {
        std::int64_t step = 0;
        std::string protocol;
        std::vector<ClassRow> classes;
    };
    struct File {
        std::string name;
        std::vector<std::byte> content;
    };

    std::string name;  ///< of the folder
    std::string program;
    std::vector<Start> starts;
    std::string configuration;                                ///< config.toml
    std::vector<std::pair<std::string, std::string>> values;  ///< of it: "train.epochs" and its text
    NumberTable metrics, steps;
    std::optional<std::size_t> best;       ///< row of metrics with the highest score that chose ckpt/best
    std::optional<Evaluation> evaluation;  ///< of the best row, or of the newest one
    std::vector<File> previews;            ///< PNG files, at most 8
};

/// Reads a run's folder. Throws Error E0902 (66) where a record is missing, E0905 (65) where one is damaged.
RecordedRun read_run(const std::filesystem::path& folder);

}  // namespace terrane::report
