#pragma once

#include <chrono>
#include <filesystem>

#include "app/gpu_watch.hpp"
#include "app/straggler_watch.hpp"
#include "app/verb.hpp"
#include "report/console.hpp"
#include "report/run_folder.hpp"
#include "train/observer.hpp"

namespace terrane::app {

/// Shows a training on rank 0's terminal and keeps it in the run folder: progress, the table of evaluations,
/// metrics.csv, events.jsonl (the rest of the run folder: RunRecords). The other ranks have one too, which
/// only takes part in what is collective.
class TrainingConsole final : public train::TrainingObserver {
  public:
    /// `folder` is null on all ranks but 0; `gpu` outlives this.
    TrainingConsole(const Invocation& invocation, report::RunFolder* folder, GpuWatch& gpu);

    void on_start(const train::RunReport& report) override;
    void on_step(const train::StepReport& report) override;
    void on_evaluation(const train::EvaluationReport& report) override;
    void on_checkpoint(std::int64_t step) override;
    void on_saved(const train::SaveResult& result) override;
    void on_skip(const train::SkipReport& report) override;
    void on_divergence(const train::Divergence& divergence) override;
    void on_stop(const train::StopReport& report) override;

    /// The last words of the run, and the event that goes with them.
    void finish(bool stopped_early);

  private:
    using Clock = std::chrono::steady_clock;

    double tiles_per_second() const;
    double io_wait() const;
    void show_pending_row();
    void report_balance(const train::StepReport& step);  ///< at the end of an epoch; collective

    const Invocation& invocation_;
    report::RunFolder* folder_;
    GpuWatch& gpu_;
    report::Console console_;
    StragglerWatch stragglers_;
    train::RunReport run_;
    std::int64_t step_ = 0;
    std::optional<double> imbalance_, bus_bandwidth_;  // of the last epoch

    // Since the last row of the table.
    double seconds_ = 0;
    double waited_ = 0;
    std::int64_t samples_ = 0;
    std::int64_t steps_ = 0;
    double loss_ = 0;
    Clock::time_point row_began_ = Clock::now();

    report::EpochRecord row_;  ///< waits for the checkpoint that may follow its evaluation
    bool row_is_pending_ = false;
};

}  // namespace terrane::app
