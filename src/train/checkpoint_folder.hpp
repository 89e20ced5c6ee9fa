#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace terrane::train {

/// The folder `ckpt` of a run: step-00004800/{files, SHA256SUMS, COMPLETE} and the links `last` and `best`.
/// Used by one rank only. A checkpoint is whole or absent: it is written as step-00004800.tmp, checksummed,
/// fsynced, renamed, and only then linked; a save that is killed or runs out of disk costs no earlier one.
class CheckpointFolder {
  public:
    explicit CheckpointFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

    const std::filesystem::path& path() const { return folder_; }
    std::filesystem::path path_of(std::int64_t step) const;

    /// Makes ready for writing: removes what a killed process left half-written, and tries how long a
    /// checkpoint of `bytes` will take. Throws Error E0901 (73, 74), and E0613 (74) if the disk has no room
    /// for two of them (for one more, where one is there already).
    struct Room {
        double seconds = 0;          ///< that writing one will take, by a measurement on a part of it
        std::uintmax_t free = 0;     ///< bytes
        std::int64_t leftovers = 0;  ///< that were removed
    };
    Room prepare(std::size_t bytes);

    /// Creates the checkpoint of `step`; `write` puts its files into the folder it is given. Throws what
    /// `write` throws and Error E0901, after removing what was begun.
    void publish(std::int64_t step, const std::function<void(const std::filesystem::path&)>& write);

    /// Lets a link (`last`, `best`) point to the checkpoint of `step`, atomically.
    void link(const std::string& name, std::int64_t step);
    /// The step a link points to, if it is there.
    std::optional<std::int64_t> linked(const std::string& name) const;

    /// Steps of all complete checkpoints, ascending, without verifying them.
    std::vector<std::int64_t> steps() const;

    /// The newest checkpoint whose checksums hold, the target of `last` first; each one that is skipped is
    /// warned about.
    std::optional<std::int64_t> newest_good() const;

    /// Removes all but the newest `keep` checkpoints; `last` and `best` stay and don't count.
    void prune(std::int64_t keep);

  private:
    std::int64_t remove_leftovers();

    std::filesystem::path folder_;
};

/// Checks a checkpoint folder against its SHA256SUMS. Throws Error E0610 (65) naming the file that is missing
/// or changed, E0902 (66) if there is no such folder.
void verify_checkpoint(const std::filesystem::path& checkpoint);

}  // namespace terrane::train
