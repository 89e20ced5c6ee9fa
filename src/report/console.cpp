#include "report/console.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/log.hpp"

namespace terrane::report {

namespace {

constexpr double seconds_between_bars = 0.1;
constexpr double seconds_between_lines = 10;
constexpr std::int64_t bar_width = 20;

std::string percent_column(const std::optional<Scores>& scores, double Scores::*member) {
    return scores ? fmt::format("{:.1f}", 100 * (*scores).*member) : "-";
}

std::string bar_of(std::int64_t done, std::int64_t all) {
    const std::int64_t filled =
        std::clamp<std::int64_t>(done * bar_width / std::max<std::int64_t>(all, 1), 0, bar_width);
    return "[" + std::string(static_cast<std::size_t>(filled), '#') +
           std::string(static_cast<std::size_t>(bar_width - filled), '-') + "]";
}

}  // namespace

std::string format_duration(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
    const auto total = static_cast<std::int64_t>(std::llround(seconds));
    const std::int64_t hours = total / 3600;
    const std::int64_t minutes = total / 60 % 60;
    if (hours == 0) return fmt::format("{}:{:02}", minutes, total % 60);
    return fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60);
}

std::string format_progress(const Progress& progress) {
    return fmt::format(
        "ep {} {} {}/{}  loss {:.3f}  lr {:.1e}  grad {:.2f}  {:.0f} tiles/s  io-wait {:.0f}%  eta {} / {}",
        progress.epoch, bar_of(progress.step, progress.steps), progress.step, progress.steps, progress.loss,
        progress.learning_rate, progress.gradient_norm, progress.tiles_per_second, 100 * progress.io_wait,
        format_duration(progress.epoch_seconds_left), format_duration(progress.total_seconds_left));
}

std::string format_progress(const PredictionProgress& progress) {
    return fmt::format("{} {} {}/{} windows  {:.2f} Mpx/s  io-wait {:.0f}%  eta {}", progress.scene,
                       bar_of(progress.window, progress.windows), progress.window, progress.windows,
                       progress.pixels_per_second * 1e-6, 100 * progress.io_wait,
                       format_duration(progress.seconds_left));
}

std::string epoch_heading() {
    return "ep   step  loss(train/val)  OA    mIoU  mF1   kappa  tiles/s  io%  mem   time";
}

std::string format_epoch(const EpochRecord& record) {
    const std::string loss = fmt::format("{:.3f} / {}", record.train_loss,
                                         record.val_loss ? fmt::format("{:.3f}", *record.val_loss) : "-");
    const std::string kappa = record.scores ? fmt::format("{:.3f}", record.scores->kappa) : "-";
    std::string row = fmt::format(
        "{:<4} {:<5} {:<16} {:<5} {:<5} {:<5} {:<6} {:<8.0f} {:<4.0f} {:<5.1f} {:<6}", record.epoch,
        record.step, loss, percent_column(record.scores, &Scores::oa),
        percent_column(record.scores, &Scores::miou), percent_column(record.scores, &Scores::mf1), kappa,
        record.tiles_per_second, 100 * record.io_wait, record.memory_gib, format_duration(record.seconds));
    if (!record.note.empty()) row += " " + record.note;
    while (!row.empty() && row.back() == ' ') row.pop_back();
    return row;
}

std::string format_banner(const Banner& banner) {
    std::string text = fmt::format("terrane {}  {}", banner.version, banner.verb);
    if (!banner.run.empty()) text += "  " + banner.run;
    if (!banner.job.empty()) text += "   " + banner.job;
    if (banner.ranks == 1) {
        text += fmt::format("\nmpi   1 rank ({})", banner.message_layer);
    } else {
        text += fmt::format("\n{}   {} node{} x {} ranks ({}, {})", banner.transport, banner.nodes,
                            banner.nodes == 1 ? "" : "s", (banner.ranks + banner.nodes - 1) / banner.nodes,
                            banner.message_layer, banner.launcher);
        if (!banner.master.empty()) text += "   master " + banner.master;
    }
    text += fmt::format("   {} threads per rank, binding {}", banner.threads, banner.binding);
    for (const std::string& library : banner.libraries) text += "   " + library;
    if (!banner.device.empty()) text += "\ndev   " + banner.device;
    for (const std::string& gpu : banner.gpus) text += "\ngpu   " + gpu;
    for (const std::string& place : banner.places) text += "\n" + place;
    for (const std::string& variable : banner.environment) text += "\nenv   " + variable;
    return text;
}

std::string format_data(const DataSummary& summary) {
    std::string text = fmt::format("data  {} ({}…)  train {} / val {} / test {} tiles {}²  ignored {:.1f} % ",
                                   summary.tiles, summary.identity.substr(0, 4), summary.train, summary.val,
                                   summary.test, summary.edge, 100 * summary.ignored);
    for (const auto& [name, bands] : summary.modalities) text += fmt::format(" {}[{}]", name, bands);
    return text;
}

std::string format_memory(std::int64_t parameters, std::int64_t planned_bytes, std::int64_t available_bytes) {
    constexpr double gib = 1024.0 * 1024.0 * 1024.0;
    return fmt::format("mem   params {:.1f} M  planned peak {:.1f} of {:.0f} GiB per rank",
                       static_cast<double>(parameters) / 1e6, static_cast<double>(planned_bytes) / gib,
                       static_cast<double>(available_bytes) / gib);
}

ProgressKind choose_progress(const std::string& configured, bool terminal) {
    if (configured == "none") return ProgressKind::none;
    if (configured == "line") return ProgressKind::line;
    // A bar that was asked for still needs a terminal: in a file it would be one endless line.
    return terminal ? ProgressKind::bar : ProgressKind::line;
}

bool error_stream_is_terminal() {
    const char* kind = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::strcmp(kind, "dumb") != 0;
}

bool colors_allowed() {
    const char* refused = std::getenv("NO_COLOR");
    return error_stream_is_terminal() && (refused == nullptr || *refused == '\0');
}

Console::Console(ProgressKind kind)
    : Console(
          kind, colors_allowed(),
          [] {
              return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
                  .count();
          },
          [](const std::string& bytes) {
              std::fwrite(bytes.data(), 1, bytes.size(), stderr);
              std::fflush(stderr);
          }) {}

Console::Console(ProgressKind kind, bool colors, Clock clock, Writer writer)
    : kind_(kind), colors_(colors), clock_(std::move(clock)), writer_(std::move(writer)) {}

Console::~Console() {
    erase_bar();
}

void Console::erase_bar() {
    if (!bar_visible_) return;
    writer_("\r\033[K");
    bar_visible_ = false;
}

bool Console::due() {
    if (kind_ == ProgressKind::none) return false;
    const double now = clock_();
    const double pause = kind_ == ProgressKind::bar ? seconds_between_bars : seconds_between_lines;
    if (last_shown_ && now - *last_shown_ < pause) return false;
    last_shown_ = now;
    return true;
}

void Console::progress(const Progress& progress) {
    if (due()) show(format_progress(progress));
}

void Console::progress(const PredictionProgress& progress) {
    if (due()) show(format_progress(progress));
}

void Console::show(std::string text) {
    if (kind_ == ProgressKind::line) {
        log::info("{}", text);
        return;
    }
    if (colors_) {
        const std::size_t end = text.rfind('#');
        const std::size_t begin = text.find('#');
        if (begin != std::string::npos) {
            text.insert(end + 1, "\033[0m");
            text.insert(begin, "\033[32m");
        }
    }
    writer_("\r" + text + "\033[K");
    bar_visible_ = true;
}

void Console::epoch(const EpochRecord& record) {
    if (kind_ != ProgressKind::none) erase_bar();
    if (!heading_shown_) log::info("{}", epoch_heading());
    heading_shown_ = true;
    log::info("{}", format_epoch(record));
}

void Console::line(const std::string& text) {
    erase_bar();
    log::info("{}", text);
}

}  // namespace terrane::report
