#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "optim/parameter_groups.hpp"
#include "report/metrics.hpp"
#include "train/checkpoint_writer.hpp"
#include "train/divergence.hpp"
#include "train/memory_plan.hpp"

namespace terrane::train {

/// One step's gradients summed over the ranks, by themselves.
struct GradientSum {
    double bytes = 0;
    double bus_bandwidth = 0;  ///< 2 (n - 1) / n times the bytes over the slowest rank's seconds
};

struct StepReport {
    std::int64_t step = 0;   ///< updates made, this one included
    std::int64_t epoch = 1;  ///< that this step belongs to, from 1
    double loss = 0;         ///< mean over the labelled pixels of the global batch
    double rate = 0;
    double gradient_norm = 0;
    std::int64_t samples = 0;  ///< the global batch
    double seconds = 0;        ///< of this step
    double io_wait = 0;        ///< seconds of them spent waiting for tiles
    /// Measured with the last step of an epoch where sums are work in the device's queue, whose time nobody
    /// sees.
    std::optional<GradientSum> gradient_sum{};
};

/// The class map that an evaluation found for a tile of val.
struct TilePrediction {
    std::int64_t tile = 0;              ///< its number in the source
    std::vector<std::uint8_t> classes;  ///< [edge, edge]
};

struct EvaluationReport {
    std::int64_t step = 0;
    std::int64_t epoch = 1;
    double training_loss = 0;  ///< mean over the steps since the last evaluation
    double loss = 0;
    report::Scores scores;
    report::ConfusionMatrix confusion{1};
    bool best = false;
    double seconds = 0;
    std::vector<TilePrediction> predictions;  ///< of report.images tiles, by number; on rank 0 only
};

/// What a run will be, known before the first step.
struct RunReport {
    std::int64_t total_steps = 0;
    std::int64_t steps_per_epoch = 0;
    std::int64_t first_step = 0;  ///< 0, or where the run is resumed
    std::string resumed_from;     ///< the checkpoint, or empty
    std::int64_t parameters = 0;
    std::int64_t trained_parameters = 0;
    std::vector<std::size_t> buckets{};           ///< of gradients, bytes, in the order of their sums
    std::vector<std::string> without_gradient{};  ///< parameters that are frozen or that no loss reads
    double peak_rate = 0;                         ///< optim.lr after optim.lr_scale
    std::vector<optim::RuleMatch> groups;         ///< what each rule of optim.groups matched
    MemoryPlan memory;
    std::string evaluation_protocol;
    std::int64_t checkpoint_bytes = 0;
    double checkpoint_seconds = 0;  ///< that saving one will take; measured when the run begins, 0 before
    std::int64_t leftovers = 0;     ///< half-written checkpoints that were removed
};

/// An update that was left out because its loss or its gradient was not finite.
struct SkipReport {
    std::int64_t step = 0;  ///< of the mini-batch, from 1
    std::string what;       ///< "loss" or "gradient"
    std::int64_t in_row = 0;
    std::int64_t limit = 0;  ///< train.max_bad_steps
    bool overflow = false;   ///< fp16: the loss scale was lowered, the run is not in danger
    double loss_scale = 1;   ///< from now on
    std::string suspects;    ///< " Tiles of rank 1: ...", or empty
};

/// Why all ranks stop at a step.
struct StopReport {
    std::int64_t step = 0;
    std::int64_t rank = 0;  ///< the first that asked for it
    std::string cause;      ///< "USR1", or "time" (runtime.max_time)
};

/// Told about everything that happens in a run, on every rank; reports are the same on all of them but for
/// times.
class TrainingObserver {
  public:
    virtual ~TrainingObserver() = default;
    virtual void on_start(const RunReport&) {}
    virtual void on_step(const StepReport&) {}
    virtual void on_evaluation(const EvaluationReport&) {}
    /// The numbers of a checkpoint have been taken; they are being written from now on.
    virtual void on_checkpoint(std::int64_t /*step*/) {}
    /// On rank 0 only: the checkpoint is on the disk, or could not be written.
    virtual void on_saved(const SaveResult&) {}
    virtual void on_skip(const SkipReport&) {}
    virtual void on_divergence(const Divergence&) {}
    virtual void on_stop(const StopReport&) {}
};

}  // namespace terrane::train
