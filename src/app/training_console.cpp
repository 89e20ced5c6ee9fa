#include "app/training_console.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "base/file.hpp"
#include "base/log.hpp"
#include "base/process_memory.hpp"

namespace terrane::app {

namespace {

using Json = nlohmann::ordered_json;

report::ProgressKind progress_kind(const Invocation& invocation) {
    if (invocation.world().rank() != 0) return report::ProgressKind::none;
    return report::choose_progress(invocation.config().runtime.progress, report::error_stream_is_terminal());
}

std::vector<std::string> class_names(const config::Config& config) {
    std::vector<std::string> names;
    for (const config::Class& entry : config.classes) names.push_back(entry.name);
    return names;
}

}  // namespace

TrainingConsole::TrainingConsole(const Invocation& invocation, report::RunFolder* folder, GpuWatch& gpu)
    : invocation_(invocation),
      folder_(folder),
      gpu_(gpu),
      console_(progress_kind(invocation)),
      stragglers_(invocation.world()) {}

void TrainingConsole::on_start(const train::RunReport& report) {
    run_ = report;
    step_ = report.first_step;
    row_began_ = Clock::now();
    invocation_.world().set_step(report.first_step + 1);
    stragglers_.pause();
    if (folder_ == nullptr) return;
    if (!report.resumed_from.empty()) {
        console_.line(fmt::format("resume {} at step {} of {}", report.resumed_from, report.first_step,
                                  report.total_steps));
    }
    if (report.leftovers > 0)
        console_.line(
            fmt::format("ckpt  removed {} half-written checkpoints of an earlier start", report.leftovers));
    console_.line(
        fmt::format("ckpt  {:.1f} MB each, about {:.1f} s to save; leave that much time between a signal "
                    "and the end",
                    static_cast<double>(report.checkpoint_bytes) / 1e6, report.checkpoint_seconds));
    if (!report.evaluation_protocol.empty()) console_.line("eval  " + report.evaluation_protocol);
    folder_->go_on_after(report.first_step);
    folder_->event("training", Json{{"first_step", report.first_step},
                                    {"total_steps", report.total_steps},
                                    {"resumed_from", report.resumed_from}}
                                   .dump());
}

double TrainingConsole::tiles_per_second() const {
    return seconds_ > 0 ? static_cast<double>(samples_) / seconds_ : 0;
}

double TrainingConsole::io_wait() const {
    return seconds_ > 0 ? waited_ / seconds_ : 0;
}

void TrainingConsole::on_step(const train::StepReport& step) {
    show_pending_row();
    step_ = step.step;
    seconds_ += step.seconds;
    waited_ += step.io_wait;
    samples_ += step.samples;
    loss_ += step.loss;
    ++steps_;
    invocation_.world().set_step(step.step + 1);
    stragglers_.step();
    report_balance(step);
    if (folder_ == nullptr) return;

    const double per_step = seconds_ / static_cast<double>(steps_);
    report::Progress progress;
    progress.epoch = step.epoch;
    progress.step = (step.step - 1) % run_.steps_per_epoch + 1;
    progress.steps = std::min(run_.steps_per_epoch, run_.total_steps);
    progress.loss = step.loss;
    progress.learning_rate = step.rate;
    progress.gradient_norm = step.gradient_norm;
    progress.tiles_per_second = tiles_per_second();
    progress.io_wait = io_wait();
    progress.epoch_seconds_left = per_step * static_cast<double>(progress.steps - progress.step);
    progress.total_seconds_left = per_step * static_cast<double>(run_.total_steps - step.step);
    console_.progress(progress);
    if (const std::string line = gpu_.line(); !line.empty()) console_.line(line);
}

void TrainingConsole::report_balance(const train::StepReport& step) {
    if (invocation_.world().size() == 1 || step_ % run_.steps_per_epoch != 0) return;
    Balance balance = stragglers_.epoch();
    if (step.gradient_sum) {  // what travels in the device's queue is no traffic of the message layer's
        balance.megabytes = step.gradient_sum->bytes / 1e6;
        balance.gigabytes_per_second = step.gradient_sum->bus_bandwidth / 1e9;
    }
    imbalance_ = balance.imbalance;
    bus_bandwidth_ = balance.gigabytes_per_second;
    if (folder_ == nullptr) return;
    console_.line("ranks " + balance.text(invocation_.world().hosts()));
    folder_->event("ranks", Json{{"step", step_},
                                 {"imbalance", balance.imbalance},
                                 {"slowest", balance.slowest},
                                 {"waiting", balance.waiting},
                                 {"gradients_mb", balance.megabytes},
                                 {"bus_gb_per_s", balance.gigabytes_per_second}}
                                .dump());
    if (balance.straggler.empty()) return;
    console_.line("slow  " + balance.straggler);
    folder_->event("straggler", Json{{"step", step_}, {"text", balance.straggler}}.dump());
}

void TrainingConsole::on_evaluation(const train::EvaluationReport& evaluation) {
    std::array<double, 1> memory{static_cast<double>(process_memory().peak)};
    invocation_.communicator().max(memory);
    stragglers_.pause();
    if (folder_ == nullptr) return;

    row_ = {};
    row_.epoch = evaluation.epoch;
    row_.step = evaluation.step;
    row_.train_loss = evaluation.training_loss;
    row_.val_loss = evaluation.loss;
    row_.scores = evaluation.scores;
    row_.tiles_per_second = tiles_per_second();
    row_.io_wait = io_wait();
    row_.memory_gib = memory[0] / (1024.0 * 1024.0 * 1024.0);
    row_.seconds = std::chrono::duration<double>(Clock::now() - row_began_).count();
    row_.imbalance = imbalance_;
    row_.bus_bandwidth = bus_bandwidth_;
    if (evaluation.best) row_.note = "best";
    row_is_pending_ = true;
    folder_->metrics(row_, class_names(invocation_.config()));  // before the checkpoint: no kill loses it
    folder_->event("evaluation", Json{{"step", evaluation.step},
                                      {"split", "val"},
                                      {"loss", evaluation.loss},
                                      {"oa", evaluation.scores.oa},
                                      {"miou", evaluation.scores.miou},
                                      {"mf1", evaluation.scores.mf1},
                                      {"kappa", evaluation.scores.kappa},
                                      {"best", evaluation.best},
                                      {"seconds", evaluation.seconds}}
                                     .dump());
    seconds_ = waited_ = loss_ = 0;
    samples_ = steps_ = 0;
    row_began_ = Clock::now();
}

void TrainingConsole::on_checkpoint(std::int64_t step) {
    stragglers_.pause();
    if (folder_ == nullptr) return;
    if (row_is_pending_ && row_.step == step) row_.note += row_.note.empty() ? "checkpoint" : ", checkpoint";
}

void TrainingConsole::on_saved(const train::SaveResult& result) {
    if (folder_ == nullptr) return;
    if (result.failure.empty()) {
        folder_->event(
            "checkpoint",
            Json{{"step", result.step}, {"seconds", result.seconds}, {"held", result.held}}.dump());
        return;
    }
    log::warning("the checkpoint of step {} was not saved and will be tried again: {}", result.step,
                 result.failure);
    folder_->event("checkpoint_failed", Json{{"step", result.step}, {"reason", result.failure}}.dump());
}

void TrainingConsole::on_skip(const train::SkipReport& report) {
    if (folder_ == nullptr) return;
    const std::string consequence =
        report.overflow ? fmt::format("the loss scale is {} now", report.loss_scale)
                        : fmt::format("{} of at most {} in a row", report.in_row, report.limit);
    log::warning("the {} is not finite at step {}: its update is left out ({}).{}", report.what, report.step,
                 consequence, report.suspects);
    folder_->event("skipped",
                   Json{{"step", report.step}, {"what", report.what}, {"in_row", report.in_row}}.dump());
}

void TrainingConsole::on_divergence(const train::Divergence& divergence) {
    if (folder_ == nullptr) return;
    const std::filesystem::path file = folder_->path() / "diverged.json";
    write_file_atomically(file, train::to_json(divergence));
    console_.line(fmt::format("dump  {}: tiles, losses and the range of every tensor", file.string()));
    folder_->event("diverged", Json{{"step", divergence.step}, {"what", divergence.what}}.dump());
}

void TrainingConsole::on_stop(const train::StopReport& report) {
    if (folder_ == nullptr) return;
    const bool time = report.cause == "time";
    console_.line(fmt::format("{}   {} at rank {}; all ranks agreed to stop at step {}",
                              time ? "time" : "sig ", time ? "the limit is near" : report.cause, report.rank,
                              report.step));
    folder_->event("stop",
                   Json{{"step", report.step}, {"cause", report.cause}, {"rank", report.rank}}.dump());
}

void TrainingConsole::show_pending_row() {
    if (!row_is_pending_) return;
    row_is_pending_ = false;
    console_.epoch(row_);
}

void TrainingConsole::finish(bool stopped_early) {
    if (folder_ == nullptr) return;
    show_pending_row();
    console_.line(fmt::format("{} at step {} of {}: {}", stopped_early ? "stopped" : "done", step_,
                              run_.total_steps, (folder_->checkpoints() / "last").string()));
    folder_->event(stopped_early ? "stopped" : "finished", Json{{"step", step_}}.dump());
}

}  // namespace terrane::app
