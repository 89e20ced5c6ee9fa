#pragma once

#include <filesystem>
#include <vector>

#include "device/backend.hpp"
#include "graph/parameter_store.hpp"
#include "optim/optimizer.hpp"
#include "train/model_description.hpp"
#include "train/model_files.hpp"
#include "train/run_state.hpp"

namespace terrane::train {

/// The names of a checkpoint's files.
inline constexpr const char* model_file = "model.safetensors";
inline constexpr const char* moments_file = "optim.safetensors";
inline constexpr const char* state_file = "state.json";

/// All numbers of a checkpoint as they were at one moment, in host memory that the first take()
/// allocates: training goes on while they are written. Not for two threads at a time.
class Snapshot {
  public:
    /// All arguments must outlive it.
    Snapshot(const graph::ParameterStore& store, optim::Optimizer& optimizer, device::Backend& backend);

    /// Bytes that the snapshot holds; those of the files are hardly more.
    std::size_t bytes() const { return bytes_; }

    /// Copies everything now: the moving average of the weights, if there is one, as the model.
    void take(const RunState& state);
    /// Writes the three files of what was taken last. Throws Error E0901.
    void write(const std::filesystem::path& folder, const ModelDescription& description) const;

  private:
    void allocate();
    void copy(const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to);

    const graph::ParameterStore& store_;
    optim::Optimizer& optimizer_;
    device::Backend& backend_;
    std::vector<NamedTensor> model_, moments_;  ///< where training has them
    std::size_t bytes_ = 0;
    std::vector<std::byte> memory_;
    std::vector<NamedTensor> model_copy_, moments_copy_;  ///< in memory_
    RunState state_;
};

}  // namespace terrane::train
