#include "report/scores_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/confusion_picture.hpp"
#include "report/csv.hpp"

namespace terrane::report {

namespace {

using Json = nlohmann::ordered_json;

std::string percent(const std::optional<double>& value) {
    return value ? fmt::format("{:6.2f}", 100 * *value) : "     -";
}

Json number(const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
}

std::string confusion_csv(const ConfusionMatrix& matrix, const ScoreContext& context) {
    std::string text = "truth \\ prediction";
    for (const ScoredClass& predicted : context.classes) text += "," + csv_field(predicted.name);
    text += "\n";
    for (std::int64_t truth = 0; truth < matrix.classes(); ++truth) {
        text += csv_field(context.classes[static_cast<std::size_t>(truth)].name);
        for (std::int64_t prediction = 0; prediction < matrix.classes(); ++prediction) {
            text += fmt::format(",{}", matrix.at(truth, prediction));
        }
        text += "\n";
    }
    return text;
}

std::string metrics_json(const Scores& scores, const ConfusionMatrix& matrix, const ScoreContext& context) {
    Json root = {{"split", context.split},     {"protocol", context.protocol},
                 {"weights", context.weights}, {"step", context.step},
                 {"pixels", scores.pixels},    {"oa", scores.oa},
                 {"miou", scores.miou},        {"mf1", scores.mf1},
                 {"kappa", scores.kappa},      {"absent", Json::array()},
                 {"classes", Json::array()},   {"confusion", Json::array()}};
    if (!context.maps.empty()) {
        root["maps"] = context.maps;
        root["unpredicted"] = context.unpredicted;
    }
    for (std::size_t i = 0; i < scores.classes.size(); ++i) {
        const ClassScores& own = scores.classes[i];
        if (own.absent()) root["absent"].push_back(context.classes[i].name);
        root["classes"].push_back({{"name", context.classes[i].name},
                                   {"truth_pixels", own.truth_pixels},
                                   {"predicted_pixels", own.predicted_pixels},
                                   {"iou", number(own.iou)},
                                   {"precision", number(own.precision)},
                                   {"recall", number(own.recall)},
                                   {"f1", number(own.f1)}});
        const auto row = matrix.counts().subspan(i * scores.classes.size(), scores.classes.size());
        root["confusion"].push_back(std::vector<std::int64_t>(row.begin(), row.end()));
    }
    return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string score_table(const Scores& scores, const ScoreContext& context) {
    std::size_t width = 5;
    for (const ScoredClass& item : context.classes) width = std::max(width, item.name.size());
    std::string text =
        fmt::format("{:<{}}     IoU  precis  recall      F1    truth pixels\n", "class", width);
    std::string absent;
    for (std::size_t i = 0; i < scores.classes.size(); ++i) {
        const ClassScores& own = scores.classes[i];
        if (own.absent()) {
            absent += (absent.empty() ? "" : ", ") + context.classes[i].name;
            text += fmt::format("{:<{}}  absent from truth and prediction\n", context.classes[i].name, width);
            continue;
        }
        text +=
            fmt::format("{:<{}}  {}  {}  {}  {}  {:>14}\n", context.classes[i].name, width, percent(own.iou),
                        percent(own.precision), percent(own.recall), percent(own.f1), own.truth_pixels);
    }
    text += fmt::format("{}: OA {:.2f}  mIoU {:.2f}  mF1 {:.2f}  kappa {:.4f}  over {} pixels{}\n",
                        context.split, 100 * scores.oa, 100 * scores.miou, 100 * scores.mf1, scores.kappa,
                        scores.pixels, absent.empty() ? "" : fmt::format("; means leave out: {}", absent));
    return text + fmt::format("protocol: {}\n", context.protocol);
}

void write_scores(const std::filesystem::path& folder, const ConfusionMatrix& matrix,
                  const ScoreContext& context) {
    TERRANE_ASSERT(context.classes.size() == static_cast<std::size_t>(matrix.classes()),
                   "{} names for {} classes", context.classes.size(), matrix.classes());
    create_folders(folder);
    write_file_atomically(folder / "metrics.json", metrics_json(score(matrix), matrix, context));
    write_file_atomically(folder / "confusion.csv", confusion_csv(matrix, context));
    write_confusion_picture(folder / "confusion.png", matrix, context);
}

}  // namespace terrane::report
