#include "report/recorded_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/csv.hpp"

namespace terrane::report {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t table_limit = std::size_t{512} << 20;
constexpr std::size_t picture_limit = std::size_t{16} << 20;
constexpr std::size_t most_previews = 8;
constexpr std::size_t most_classes = 256;

[[noreturn]] void damaged(const fs::path& file, const std::string& reason) {
    throw Error(ExitCode::data_invalid, 905, fmt::format("{} is damaged: {}.", file.string(), reason),
                "Name the folder of a training, or remove the damaged file.");
}

std::optional<double> number_of(const fs::path& file, const std::string& field) {
    if (field.empty()) return std::nullopt;
    double value = 0;
    const auto [end, failure] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (failure != std::errc() || end != field.data() + field.size()) {
        damaged(file, fmt::format("\"{}\" is no number", field.substr(0, 40)));
    }
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

NumberTable read_table(const fs::path& file) {
    NumberTable table;
    if (!fs::exists(file)) return table;
    std::vector<std::vector<std::string>> records = parse_csv(read_text_file(file, table_limit));
    if (records.empty()) return table;
    table.columns = std::move(records.front());
    for (std::size_t i = 1; i < records.size(); ++i) {
        if (records[i].size() != table.columns.size()) {
            damaged(file,
                    fmt::format("row {} has {} of {} fields", i, records[i].size(), table.columns.size()));
        }
        auto& row = table.rows.emplace_back();
        for (const std::string& field : records[i]) row.push_back(number_of(file, field));
    }
    return table;
}

/// The keys and values of the text that config::print_toml writes: tables, and one value per line. Lists of
/// tables are numbered.
std::vector<std::pair<std::string, std::string>> values_of(const std::string& toml) {
    std::vector<std::pair<std::string, std::string>> values;
    std::map<std::string, int> entries;
    std::string table;
    std::size_t at = 0;
    while (at < toml.size()) {
        const std::size_t end = std::min(toml.find('\n', at), toml.size());
        const std::string line = toml.substr(at, end - at);
        at = end + 1;
        if (line.rfind("[[", 0) == 0 && line.ends_with("]]")) {
            const std::string name = line.substr(2, line.size() - 4);
            table = fmt::format("{}[{}].", name, entries[name]++);
        } else if (line.rfind('[', 0) == 0 && line.ends_with("]")) {
            table = line.substr(1, line.size() - 2) + ".";
        } else if (const std::size_t equals = line.find(" = "); equals != std::string::npos) {
            values.emplace_back(table + line.substr(0, equals), line.substr(equals + 3));
        }
    }
    return values;
}

RecordedRun::Evaluation evaluation_of(const fs::path& file) {
    const Json json = Json::parse(read_text_file(file), nullptr, false);
    if (!json.is_object()) damaged(file, "it is no JSON object");
    RecordedRun::Evaluation evaluation;
    try {
        evaluation.step = json.at("step").get<std::int64_t>();
        evaluation.protocol = json.at("protocol").get<std::string>();
        const auto score = [](const Json& entry, const char* key) {
            const Json& value = entry.at(key);
            return value.is_null() ? std::nullopt : std::optional(value.get<double>());
        };
        const std::size_t classes = json.at("classes").size();
        if (classes > most_classes || json.at("confusion").size() != classes) {
            damaged(file, "its confusion matrix does not fit its classes");
        }
        for (std::size_t i = 0; i < classes; ++i) {
            const Json& entry = json["classes"][i];
            RecordedRun::ClassRow row{entry.at("name").get<std::string>(),
                                      score(entry, "iou"),
                                      score(entry, "precision"),
                                      score(entry, "recall"),
                                      score(entry, "f1"),
                                      json["confusion"][i].get<std::vector<std::int64_t>>()};
            if (row.confusion.size() != classes) damaged(file, "its confusion matrix is not square");
            evaluation.classes.push_back(std::move(row));
        }
    } catch (const Json::exception& error) {
        damaged(file, error.what());
    }
    return evaluation;
}

void read_starts(const fs::path& file, RecordedRun& run) {
    const Json json = Json::parse(read_text_file(file), nullptr, false);
    if (!json.is_object()) damaged(file, "it is no JSON object");
    try {
        run.program = json.at("program").get<std::string>();
        for (const Json& start : json.at("starts")) {
            std::string command;
            for (const Json& word : start.at("command")) {
                command += (command.empty() ? "" : " ") + word.get<std::string>();
            }
            run.starts.push_back({start.at("time").get<std::string>(), command,
                                  start.at("mpi").get<std::string>(), start.at("hosts").size()});
        }
    } catch (const Json::exception& error) {
        damaged(file, error.what());
    }
}

/// The row that ckpt/best is chosen by: eval.best, the first of equal ones.
std::optional<std::size_t> best_row(const RecordedRun& run) {
    std::string score = "miou";
    for (const auto& [key, value] : run.values) {
        if (key == "eval.best" && value.size() > 2) score = value.substr(1, value.size() - 2);
    }
    std::optional<std::size_t> best;
    const std::vector<std::optional<double>> scores = run.metrics.column(score);
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (scores[i] && (!best || *scores[i] > *scores[*best])) best = i;
    }
    return best;
}

void read_evaluation(const fs::path& folder, RecordedRun& run) {
    if (!run.best) return;
    const double step = run.metrics.column("step")[*run.best].value_or(0);
    const fs::path file =
        folder / "confusion" / fmt::format("step-{:08}", static_cast<std::int64_t>(step)) / "metrics.json";
    if (fs::exists(file)) run.evaluation = evaluation_of(file);
}

void read_previews(const fs::path& folder, RecordedRun& run) {
    std::error_code none;  // a run may have no pictures
    std::vector<fs::path> files;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder / "preview", none)) {
        if (entry.is_regular_file() && entry.path().extension() == ".png") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    files.resize(std::min(files.size(), most_previews));
    for (const fs::path& file : files) {
        const std::string text = read_text_file(file, picture_limit);
        if (text.rfind("\x89PNG\r\n\x1a\n", 0) != 0) damaged(file, "it is no PNG");
        RecordedRun::File& preview = run.previews.emplace_back();
        preview.name = file.stem().string();
        preview.content.resize(text.size());
        std::memcpy(preview.content.data(), text.data(), text.size());
    }
}

}  // namespace

std::vector<std::optional<double>> NumberTable::column(const std::string& name) const {
    std::vector<std::optional<double>> values;
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end()) return values;
    const auto index = static_cast<std::size_t>(found - columns.begin());
    for (const auto& row : rows) values.push_back(row[index]);
    return values;
}

RecordedRun read_run(const fs::path& folder) {
    RecordedRun run;
    run.name = fs::weakly_canonical(folder).filename().string();
    read_starts(folder / "run.json", run);
    run.configuration = read_text_file(folder / "config.toml");
    run.values = values_of(run.configuration);
    run.metrics = read_table(folder / "metrics.csv");
    run.steps = read_table(folder / "steps.csv");
    run.best = best_row(run);
    read_evaluation(folder, run);
    read_previews(folder, run);
    return run;
}

}  // namespace terrane::report
