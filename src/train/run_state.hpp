#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "device/update.hpp"
#include "optim/plateau.hpp"

namespace terrane::train {

/// Where a run stands, beside the numbers of model and optimizer: state.json of a checkpoint.
struct RunState {
    std::int64_t step = 0;  ///< mini-batches trained; the sampler's position follows from it
    double best_score = -1;
    std::int64_t best_step = -1;
    optim::PlateauState plateau;
    std::string experiment;             ///< experiment_text of the run
    std::string tiles;                  ///< TileSource::identity of the training tiles
    std::vector<std::string> frozen{};  ///< parameters that the run leaves as they were loaded
    /// How the run began to share its mini-batches out; one that goes on with other ranks follows it as far
    /// as it can. 0: not known.
    std::int64_t ranks = 0, batch = 0, micro_steps = 0;
    bool evaluation_pending = false;  ///< the stop came before the evaluation that is due at this step
    double loss_since_evaluation = 0;
    std::int64_t steps_since_evaluation = 0;
    std::int64_t skipped_in_row = 0;  ///< updates left out, one after another, as not finite
    std::int64_t skipped = 0;         ///< updates left out in the whole run
    device::LossScale loss_scale{};
};

/// The part of the configuration that decides what is learned, as TOML. Two runs with equal texts, equal
/// tiles and equal ranks produce equal bits; what may differ between a run and its continuation (paths,
/// evaluation (unless the schedule follows it), checkpoints, prediction, batches per rank) is left out.
std::string experiment_text(const config::Config& config);

std::string to_json(const RunState& state);
/// Throws Error E0611 (65) naming `file` if the text is damaged.
RunState run_state_from_json(const std::string& text, const std::string& file);

/// Throws Error E0901.
void save_run_state(const std::filesystem::path& file, const RunState& state);
/// Throws Error E0902 (66) if the file is missing, E0611 (65) if it is damaged.
RunState load_run_state(const std::filesystem::path& file);

/// Throws Error E0515 (78) naming the first setting that differs, or the tiles.
void require_same_experiment(const RunState& stored, const RunState& current,
                             const std::filesystem::path& checkpoint);

}  // namespace terrane::train
