#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/folder_lock.hpp"
#include "config/resolve.hpp"
#include "report/append_file.hpp"
#include "report/metrics.hpp"
#include "report/step_table.hpp"

namespace terrane::report {

/// What a run records about itself in run.json.
struct RunDescription {
    std::string program;               ///< "terrane 0.1.0"
    std::vector<std::string> command;  ///< the arguments after the program's name
    std::string message_layer;         ///< "Open MPI 4.1.4"
    std::vector<std::string> hosts;    ///< of each rank
    int threads = 1;                   ///< per rank
};

/// The line of metrics.csv and the row of the console's table: one evaluation during training.
struct EpochRecord {
    std::int64_t epoch = 0;
    std::int64_t step = 0;
    double train_loss = 0;
    std::optional<double> val_loss;
    std::optional<Scores> scores;  ///< none: this epoch was not evaluated
    double tiles_per_second = 0;
    double io_wait = 0;     ///< fraction of the epoch's time spent waiting for data, 0..1
    double memory_gib = 0;  ///< peak of the fullest rank
    double seconds = 0;
    std::optional<double> imbalance{};      ///< of the last epoch: longest own work of a rank over the mean
    std::optional<double> bus_bandwidth{};  ///< of its sums of gradients, GB/s
    std::string note;                       ///< "best, checkpoint"
};

/// What the driver tells of rank 0's GPU; empty where it tells nothing.
struct GpuRecord {
    std::optional<double> busy{};         ///< percent of the time in which a kernel ran
    std::optional<double> memory_gib{};   ///< used, by all processes
    std::optional<double> temperature{};  ///< Celsius
    std::optional<double> power{};        ///< watts
    std::optional<double> clock{};        ///< MHz
};

/// The line of steps.csv: means over the steps since the line before (report.every of them).
struct StepRecord {
    std::int64_t step = 0;  ///< the last of them
    std::int64_t epoch = 1;
    double loss = 0;
    double learning_rate = 0;
    double gradient_norm = 0;
    double tiles_per_second = 0;
    double io_wait = 0;  ///< fraction of the time, 0..1
    double seconds = 0;  ///< per step
    GpuRecord gpu{};     ///< as it was last read, some seconds ago
};

/// runs/<name>/<time>_<job or process>/, or the folder that -o names: run.json, config.toml, log/,
/// events.jsonl, metrics.csv, steps.csv, and the sub-folders that training adds (docs/observing.md). Only
/// rank 0 makes one.
class RunFolder {
  public:
    /// Where a run goes: runtime.out, or a fresh folder below runs/ named after the config file's folder.
    static std::filesystem::path choose(const config::Config& config);

    /// Keeps other trainings out of the folder for as long as it lives. Throws Error E0906 (73), naming the
    /// process that trains there.
    static std::unique_ptr<FolderLock> lock(const std::filesystem::path& path);

    /// Creates the folder, or opens it again to go on with the run in it (train.resume isn't "never").
    /// Throws Error 73: E0904 if the folder holds a run and train.resume = "never", or something else than a
    /// run; with runtime.overwrite a run in it is removed first.
    RunFolder(std::filesystem::path path, const config::Resolved& resolved,
              const RunDescription& description);

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path checkpoints() const { return path_ / "ckpt"; }
    bool continued() const { return continued_; }  ///< it held this run already

    /// Appends one JSON object to events.jsonl; `fields` is its text without "time" and "event", e.g.
    /// {"step":3}.
    void event(const std::string& name, const std::string& fields_json = "{}");
    /// The run goes on after `step`: what metrics.csv and steps.csv hold of later steps is removed.
    void go_on_after(std::int64_t step);
    /// Appends a line to steps.csv.
    void step(const StepRecord& record);
    /// Appends a line to metrics.csv (the header first, in a new file).
    void metrics(const EpochRecord& record, const std::vector<std::string>& class_names);

  private:
    std::filesystem::path path_;
    bool continued_ = false;
    std::unique_ptr<AppendFile> events_;
    std::unique_ptr<StepTable> metrics_;
    std::unique_ptr<StepTable> steps_;
};

}  // namespace terrane::report
