#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "data/augmentation.hpp"
#include "data/feeder.hpp"
#include "data/tile_source.hpp"
#include "device/backend.hpp"
#include "graph/program.hpp"
#include "recipe/recipe.hpp"
#include "report/metrics.hpp"
#include "train/observer.hpp"

namespace terrane::train {

/// What an evaluation found, the same on every rank.
struct Evaluation {
    report::ConfusionMatrix confusion;
    double loss = 0;  ///< mean over labelled pixels, by the training loss's weights; 0 if there are none
    std::int64_t tiles = 0;
    double seconds = 0;
    std::vector<TilePrediction> predictions = {};  ///< see Evaluator::keep_predictions; on rank 0 only
};

/// Scores the current parameters on all tiles of a split: whole tiles, unchanged, each exactly once over all
/// ranks; pixels labelled as ignored don't count. Counts are whole numbers and summed exactly, so that the
/// scores are the same for any number of ranks.
class Evaluator {
  public:
    /// Builds and plans the evaluation program for `batch` tiles per rank; parameters come from `store`. All
    /// must outlive the evaluator. `exchange`: with whom a pass shares the sums that some losses need in
    /// forward; null: all ranks.
    Evaluator(const config::Config& config, data::TileSource& source, std::int64_t batch,
              device::Backend& backend, graph::ParameterStore& store, comm::Communicator& communicator,
              device::Collectives* exchange = nullptr);

    /// From now on evaluations hand out the predictions of `tiles` tiles, the same ones every time, spread
    /// evenly over the source.
    void keep_predictions(std::int64_t tiles);

    /// Collective. First gives every rank the running statistics of rank 0: with local batch norm they
    /// differ, and the scores are those of rank 0's model, the one that is saved.
    Evaluation run();
    /// The same, but the ranks ask each other after every batch whether to stop: nothing if one rank's
    /// `stop_requested` said yes.
    std::optional<Evaluation> run(const std::function<bool()>& stop_requested);

    std::size_t bytes() const { return inference_->bytes(); }  ///< of its programs
    /// What a score of this evaluator means, in one line.
    std::string protocol() const;

  private:
    void clear_counts();
    void keep_chosen(std::span<const data::SampleDraw> samples, std::string& kept) const;
    std::vector<TilePrediction> gathered(const std::string& kept);
    report::ConfusionMatrix summed_counts();

    data::TileSource& source_;
    std::int64_t batch_;
    std::int64_t prefetch_;
    device::Backend& backend_;
    graph::ParameterStore& store_;
    comm::Communicator& communicator_;
    std::uint64_t seed_;
    std::vector<std::int64_t> chosen_;  ///< tiles whose predictions are handed out, ascending
    std::unique_ptr<recipe::Inference> inference_;
};

}  // namespace terrane::train
