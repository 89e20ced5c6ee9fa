#include "report/html_report.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "report/console.hpp"
#include "report/svg_chart.hpp"

namespace terrane::report {

namespace {

constexpr std::array<const char*, 8> colors = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                               "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"};

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>terrane report</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 1000px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; } h3 { font-size: 1em; }
table { border-collapse: collapse; margin: .6em 0; }
th, td { padding: .2em .7em; border-bottom: 1px solid #ddd; text-align: right; }
th { color: #555; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.best { font-weight: 700; } .note { color: #666; font-size: .9em; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 1em; }
figure { margin: 0; } svg { width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: #555; } svg text.title { font-weight: 600; fill: #222; }
svg .grid { stroke: #e4e4e4; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .4em; }
.confusion td { text-align: center; border: 1px solid #fff; } .confusion td:first-child { text-align: left; }
.previews img { display: block; margin: .3em 0; max-width: 100%; image-rendering: pixelated; }
pre { background: #f6f6f6; padding: .8em; overflow: auto; font-size: .85em; }
</style>
</head>
<body>
)";

const char* color_of(std::size_t run) {
    return colors[run % colors.size()];
}

std::string percent(const std::optional<double>& share, int digits = 1) {
    return share ? fmt::format("{:.{}f}", 100 * *share, digits) : "–";
}

std::string swatch_and_name(const RecordedRun& run, std::size_t index) {
    return fmt::format("<span class=\"swatch\" style=\"background:{}\"></span>{}", color_of(index),
                       escaped(run.name));
}

std::optional<double> at(const RecordedRun& run, const std::string& column, std::optional<std::size_t> row) {
    const std::vector<std::optional<double>> values = run.metrics.column(column);
    return row && *row < values.size() ? values[*row] : std::nullopt;
}

std::string scores_table(const std::vector<RecordedRun>& runs) {
    struct Column {
        const char* title;
        const char* name;
    };
    constexpr std::array<Column, 4> shown = {
        {{"mIoU %", "miou"}, {"OA %", "oa"}, {"mF1 %", "mf1"}, {"kappa × 100", "kappa"}}};
    std::string html = "<h2>Best evaluation on val</h2>\n<table><tr><th>run</th><th>step</th>";
    std::array<double, shown.size()> highest{};
    highest.fill(-1);
    for (std::size_t c = 0; c < shown.size(); ++c) {
        html += fmt::format("<th>{}</th>", shown[c].title);
        for (const RecordedRun& run : runs) {
            highest[c] = std::max(highest[c], at(run, shown[c].name, run.best).value_or(-1));
        }
    }
    html += "<th>val loss</th><th>steps</th><th>time</th></tr>\n";
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const RecordedRun& run = runs[i];
        const auto step = at(run, "step", run.best);
        html += fmt::format("<tr><td>{}</td><td>{}</td>", swatch_and_name(run, i),
                            step ? fmt::format("{:.0f}", *step) : "–");
        for (std::size_t c = 0; c < shown.size(); ++c) {
            const auto value = at(run, shown[c].name, run.best);
            const bool best = runs.size() > 1 && value && *value == highest[c];
            html += fmt::format("<td{}>{}</td>", best ? " class=\"best\"" : "", percent(value, 2));
        }
        const auto loss = at(run, "val_loss", run.best);
        const std::vector<std::optional<double>> steps = run.steps.column("step");
        double seconds = 0;
        for (const auto& value : run.metrics.column("seconds")) seconds += value.value_or(0);
        html +=
            fmt::format("<td>{}</td><td>{}</td><td>{}</td></tr>\n", loss ? fmt::format("{:.4f}", *loss) : "–",
                        steps.empty() ? "–" : fmt::format("{:.0f}", steps.back().value_or(0)),
                        seconds > 0 ? format_duration(seconds) : "–");
    }
    html += "</table>\n";
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (!runs[i].evaluation) continue;
        html += fmt::format("<p class=\"note\">{}: {}</p>\n", swatch_and_name(runs[i], i),
                            escaped(runs[i].evaluation->protocol));
    }
    return html;
}

std::string chart(const std::vector<RecordedRun>& runs, const std::string& title, const std::string& column,
                  NumberTable RecordedRun::*table, double factor = 1) {
    std::vector<Curve> curves;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        Curve curve{runs[i].name, color_of(i), {}};
        const auto steps = (runs[i].*table).column("step");
        const auto values = (runs[i].*table).column(column);
        for (std::size_t k = 0; k < std::min(steps.size(), values.size()); ++k) {
            if (steps[k] && values[k]) curve.points.emplace_back(*steps[k], factor * *values[k]);
        }
        curves.push_back(std::move(curve));
    }
    const std::string svg = svg_chart(title, curves);
    return svg.empty() ? "" : "<figure>" + svg + "</figure>\n";
}

std::string curves(const std::vector<RecordedRun>& runs) {
    constexpr auto steps = &RecordedRun::steps;
    constexpr auto metrics = &RecordedRun::metrics;
    return "<h2>Curves over steps</h2>\n<div class=\"charts\">\n" +
           chart(runs, "training loss", "loss", steps) + chart(runs, "validation loss", "val_loss", metrics) +
           chart(runs, "mIoU on val, %", "miou", metrics, 100) +
           chart(runs, "overall accuracy on val, %", "oa", metrics, 100) +
           chart(runs, "learning rate", "lr", steps) + chart(runs, "gradient norm", "grad_norm", steps) +
           chart(runs, "tiles per second", "tiles_per_second", steps) +
           chart(runs, "time waiting for tiles, %", "io_wait", steps, 100) + "</div>\n";
}

std::string class_table(const std::vector<RecordedRun>& runs) {
    std::vector<std::string> names;
    std::string html = "<h2>IoU of each class, %</h2>\n<table><tr><th>class</th>";
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (!runs[i].evaluation) continue;
        html += "<th>" + swatch_and_name(runs[i], i) + "</th>";
        for (const RecordedRun::ClassRow& row : runs[i].evaluation->classes) {
            if (std::find(names.begin(), names.end(), row.name) == names.end()) names.push_back(row.name);
        }
    }
    if (names.empty()) return {};
    html += "</tr>\n";
    for (const std::string& name : names) {
        html += "<tr><td>" + escaped(name) + "</td>";
        for (const RecordedRun& run : runs) {
            if (!run.evaluation) continue;
            std::optional<double> iou;
            for (const RecordedRun::ClassRow& row : run.evaluation->classes) {
                if (row.name == name) iou = row.iou;
            }
            html += "<td>" + percent(iou) + "</td>";
        }
        html += "</tr>\n";
    }
    return html + "</table>\n";
}

std::string confusion_table(const RecordedRun::Evaluation& evaluation) {
    std::string html = fmt::format(
        "<h3>Confusion matrix at step {}</h3>\n<p class=\"note\">Rows: truth, columns: prediction, % of the "
        "row's pixels.</p>\n<table class=\"confusion\"><tr><th></th>",
        evaluation.step);
    for (const RecordedRun::ClassRow& row : evaluation.classes) html += "<th>" + escaped(row.name) + "</th>";
    html += "</tr>\n";
    for (const RecordedRun::ClassRow& row : evaluation.classes) {
        double pixels = 0;
        for (const std::int64_t count : row.confusion) pixels += static_cast<double>(count);
        html += "<tr><td>" + escaped(row.name) + "</td>";
        for (const std::int64_t count : row.confusion) {
            if (pixels <= 0) {
                html += "<td>–</td>";
                continue;
            }
            const double share = static_cast<double>(count) / pixels;
            html += fmt::format("<td style=\"background:rgba(8,48,107,{:.3f});color:{}\">{}</td>",
                                std::sqrt(std::clamp(share, 0.0, 1.0)), share > 0.2 ? "#fff" : "#222",
                                count == 0 ? "" : percent(share));
        }
        html += "</tr>\n";
    }
    return html + "</table>\n";
}

std::string base64(const std::vector<std::byte>& content) {
    std::string text(4 * ((content.size() + 2) / 3) + 1, '\0');  // EVP_EncodeBlock ends it with a null byte
    const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                       reinterpret_cast<const unsigned char*>(content.data()),
                                       static_cast<int>(content.size()));
    text.resize(static_cast<std::size_t>(length));
    return text;
}

std::string previews(const RecordedRun& run) {
    if (run.previews.empty()) return {};
    std::string html =
        "<h3>Val tiles</h3>\n<p class=\"note\">Modalities, truth, prediction of the newest evaluation.</p>\n"
        "<div class=\"previews\">\n";
    for (const RecordedRun::File& preview : run.previews) {
        html += fmt::format("<img alt=\"{}\" src=\"data:image/png;base64,{}\"/>\n", escaped(preview.name),
                            base64(preview.content));
    }
    return html + "</div>\n";
}

/// Values of the configuration that are not the same in all runs.
std::string differences(const std::vector<RecordedRun>& runs) {
    if (runs.size() < 2) return {};
    std::vector<std::string> keys;
    std::map<std::string, std::vector<std::string>> values;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        for (const auto& [key, value] : runs[i].values) {
            std::vector<std::string>& all = values[key];
            if (all.empty()) {
                keys.push_back(key);
                all.resize(runs.size(), "–");
            }
            all[i] = value;
        }
    }
    std::string rows;
    for (const std::string& key : keys) {
        const std::vector<std::string>& all = values[key];
        if (std::all_of(all.begin(), all.end(), [&](const std::string& one) { return one == all[0]; }))
            continue;
        rows += "<tr><td>" + escaped(key) + "</td>";
        for (const std::string& value : all) rows += "<td>" + escaped(value) + "</td>";
        rows += "</tr>\n";
    }
    if (rows.empty()) return {};
    std::string html = "<h2>Where the configurations differ</h2>\n<table><tr><th>key</th>";
    for (std::size_t i = 0; i < runs.size(); ++i) html += "<th>" + swatch_and_name(runs[i], i) + "</th>";
    return html + "</tr>\n" + rows + "</table>\n";
}

std::string details(const RecordedRun& run, std::size_t index) {
    std::string html = fmt::format(
        "<h2>{}</h2>\n<table><tr><th>started</th><th>ranks</th><th>MPI</th>"
        "<th>command</th></tr>\n",
        swatch_and_name(run, index));
    for (const RecordedRun::Start& start : run.starts) {
        html += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", escaped(start.time),
                            start.ranks, escaped(start.message_layer), escaped(start.command));
    }
    html += fmt::format("</table>\n<p class=\"note\">{}</p>\n", escaped(run.program));
    if (run.evaluation) html += confusion_table(*run.evaluation);
    html += previews(run);
    return html + "<details><summary>configuration</summary>\n<pre>" + escaped(run.configuration) +
           "</pre>\n</details>\n";
}

}  // namespace

std::string html_report(const std::vector<RecordedRun>& runs) {
    std::string html = head;
    html += fmt::format("<h1>{}</h1>\n", runs.size() == 1 ? escaped(runs[0].name)
                                                          : fmt::format("{} runs compared", runs.size()));
    html += scores_table(runs) + curves(runs) + class_table(runs) + differences(runs);
    for (std::size_t i = 0; i < runs.size(); ++i) html += details(runs[i], i);
    return html + "</body>\n</html>\n";
}

}  // namespace terrane::report
