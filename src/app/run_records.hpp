#pragma once

#include <functional>
#include <memory>

#include "app/gpu_watch.hpp"
#include "config/config.hpp"
#include "report/canvas.hpp"
#include "report/run_folder.hpp"
#include "tensorboard/event_file.hpp"
#include "tiles/store.hpp"
#include "train/observer.hpp"

namespace terrane::app {

/// Keeps the course of a training in the run folder, on rank 0: steps.csv, confusion/, preview/, tb/
/// (docs/observing.md). What can't be written is warned about, and the training goes on.
class RunRecords final : public train::TrainingObserver {
  public:
    /// All of it outlives the records. `store` holds the tiles that are evaluated, as split val; `gpu` is
    /// rank 0's.
    RunRecords(const config::Config& config, const tiles::TileStore& store, report::RunFolder& folder,
               const GpuWatch& gpu);

    void on_start(const train::RunReport& report) override;
    void on_step(const train::StepReport& report) override;
    void on_evaluation(const train::EvaluationReport& report) override;

    /// Writes what is still gathered.
    void finish();

  private:
    void write_row();
    /// What the GPU's sensors say, every ten seconds.
    bool read_gpu();  ///< whether there is something new, which is now and then
    void add_gpu(std::vector<tensorboard::Scalar>& scalars) const;
    void show_scores(const train::EvaluationReport& report);
    void show_confusion(const train::EvaluationReport& report);
    void show_predictions(const train::EvaluationReport& report);
    /// Does what may fail on a full disk.
    void attempt(const std::function<void()>& write);
    void to_tensorboard(const std::function<void(tensorboard::EventFile&)>& write);

    const config::Config& config_;
    const tiles::TileStore& store_;
    report::RunFolder& folder_;
    const GpuWatch& gpu_;
    report::GpuRecord gpu_record_;
    std::unique_ptr<tensorboard::EventFile> events_;  ///< none: not wanted, or it failed
    std::string protocol_;
    bool failing_ = false;
    std::chrono::steady_clock::time_point next_reading_ = std::chrono::steady_clock::now();

    // Sums since the last row of steps.csv.
    report::StepRecord sum_;
    std::int64_t steps_ = 0;
    std::int64_t samples_ = 0;
};

}  // namespace terrane::app
