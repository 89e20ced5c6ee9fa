#include "train/checkpoint_folder.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <map>
#include <sstream>
#include <system_error>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"

namespace terrane::train {

namespace fs = std::filesystem;

namespace {

constexpr const char* sums_file = "SHA256SUMS";
constexpr const char* complete_file = "COMPLETE";
constexpr std::string_view first_line = "terrane checkpoint\n";
constexpr std::size_t longest_list = std::size_t{1} << 20;
constexpr std::string_view prefix = "step-";
constexpr std::string_view temporary_suffix = ".tmp";

// The part of a checkpoint that is written on trial.
constexpr const char* trial_name = "trial";
constexpr std::size_t smallest_trial = std::size_t{256} << 10;
constexpr std::size_t largest_trial = std::size_t{32} << 20;

std::string name_of(std::int64_t step) {
    return fmt::format("{}{:08}", prefix, step);
}

// The step of a finished checkpoint's folder name; nothing for any other name.
std::optional<std::int64_t> step_of(std::string_view name) {
    if (!name.starts_with(prefix)) return std::nullopt;
    name.remove_prefix(prefix.size());
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    if (error != std::errc{} || end != name.data() + name.size()) return std::nullopt;
    return step;
}

// Lets two folders change names in one step.
bool exchange(const fs::path& a, const fs::path& b) {
    if (fault::file_operation(fault::FileOperation::rename) != 0) return false;
    return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
}

void write_sums(const fs::path& folder) {
    std::map<std::string, std::string> sums;
    for (const auto& entry : fs::directory_iterator(folder)) {
        sums[entry.path().filename().string()] = sha256_of_file(entry.path());
    }
    std::string text;
    for (const auto& [name, sum] : sums) text += fmt::format("{}  {}\n", sum, name);
    write_file_atomically(folder / sums_file, text);
}

// The content of COMPLETE: with it, no byte of the checkpoint is without a checksum.
std::string seal(const std::string& sums) {
    return fmt::format("{}{}\n", first_line, sha256(sums));
}

[[noreturn]] void refuse(const fs::path& checkpoint, const std::string& reason) {
    throw Error(ExitCode::data_invalid, 610, fmt::format("checkpoint {}: {}.", checkpoint.string(), reason),
                "Use another checkpoint of the run.");
}

}  // namespace

fs::path CheckpointFolder::path_of(std::int64_t step) const {
    return folder_ / name_of(step);
}

CheckpointFolder::Room CheckpointFolder::prepare(std::size_t bytes) {
    std::error_code failure;
    fs::create_directories(folder_, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create {}: {}.", folder_.string(), failure.message()));
    }
    Room room;
    room.leftovers = remove_leftovers();
    const fs::space_info space = fs::space(folder_, failure);
    room.free = failure ? 0 : space.available;
    const std::size_t copies = steps().empty() ? 2 : 1;
    if (!failure && space.available < copies * bytes) {
        constexpr double megabyte = 1e6;
        throw Error(
            ExitCode::io_error, 613,
            fmt::format("{} has room for {:.0f} MB, but a checkpoint takes {:.0f} MB and {} must fit.",
                        folder_.string(), static_cast<double>(space.available) / megabyte,
                        static_cast<double>(bytes) / megabyte, copies == 1 ? "one more" : "two of them"),
            "Free some space or choose another -o.");
    }
    const std::size_t part = std::clamp(bytes / 8, std::min(bytes, smallest_trial), largest_trial);
    const fs::path trial = folder_ / (std::string(trial_name) + std::string(temporary_suffix));
    const auto begin = std::chrono::steady_clock::now();
    try {
        CheckedFile file(trial);
        file.write(std::vector<std::byte>(part, std::byte{0x5A}));
        file.finish();
        fs::remove(trial, failure);
    } catch (...) {
        fs::remove(trial, failure);
        throw;
    }
    room.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() *
                   static_cast<double>(bytes) / static_cast<double>(std::max<std::size_t>(part, 1));
    return room;
}

std::int64_t CheckpointFolder::remove_leftovers() {
    std::int64_t removed = 0;
    std::error_code failure;
    std::vector<fs::path> found;
    for (fs::directory_iterator entry(folder_, failure), end; !failure && entry != end;
         entry.increment(failure)) {
        const std::string name = entry->path().filename().string();
        // A folder without COMPLETE is one whose removal was interrupted.
        const bool torn = step_of(name) && !fs::exists(entry->path() / complete_file);
        if (name.ends_with(temporary_suffix) || torn) found.push_back(entry->path());
    }
    for (const fs::path& path : found) {
        fs::remove_all(path, failure);
        if (failure) {
            log::warning("{} of an earlier run can't be removed: {}", path.string(), failure.message());
        } else {
            ++removed;
        }
    }
    return removed;
}

void CheckpointFolder::publish(std::int64_t step, const std::function<void(const fs::path&)>& write) {
    const fs::path target = path_of(step);
    fs::path temporary = target;
    temporary += temporary_suffix;
    try {
        fs::create_directories(folder_);
        fs::remove_all(temporary);
        fs::create_directory(temporary);
        write(temporary);
        write_sums(temporary);
        write_file_atomically(temporary / complete_file,
                              seal(read_text_file(temporary / sums_file, longest_list)));
        sync_folder(temporary);
        // A checkpoint of the same step can be in the way: one whose link failed, one without the evaluation
        // that was due, or a damaged one that the run was resumed from before.
        if (!fs::exists(target)) {
            publish_by_rename(temporary, target);
        } else if (exchange(temporary, target)) {
            sync_folder(folder_);
            fs::remove_all(temporary);
        } else {  // a file system that can't
            fs::remove_all(target);
            publish_by_rename(temporary, target);
        }
    } catch (const fs::filesystem_error& error) {
        std::error_code ignored;
        fs::remove_all(temporary, ignored);
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't write checkpoint {}: {}.", target.string(), error.what()));
    } catch (...) {
        std::error_code ignored;
        fs::remove_all(temporary, ignored);
        throw;
    }
}

void CheckpointFolder::link(const std::string& name, std::int64_t step) {
    fs::path temporary = folder_ / name;
    temporary += temporary_suffix;
    std::error_code failure;
    fs::remove(temporary, failure);
    if (const int failed = fault::file_operation(fault::FileOperation::link)) {
        throw Error(ExitCode::io_error, 901,
                    fmt::format("can't create the link {}: {}.", temporary.string(),
                                std::generic_category().message(failed)));
    }
    fs::create_symlink(name_of(step), temporary, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create the link {}: {}.", temporary.string(), failure.message()));
    }
    publish_by_rename(temporary, folder_ / name);
}

std::optional<std::int64_t> CheckpointFolder::linked(const std::string& name) const {
    std::error_code missing;
    const fs::path target = fs::read_symlink(folder_ / name, missing);
    if (missing) return std::nullopt;
    return step_of(target.filename().string());
}

std::vector<std::int64_t> CheckpointFolder::steps() const {
    std::vector<std::int64_t> result;
    std::error_code missing;
    for (fs::directory_iterator entry(folder_, missing), end; !missing && entry != end;
         entry.increment(missing)) {
        const std::optional<std::int64_t> step = step_of(entry->path().filename().string());
        if (step && fs::exists(entry->path() / complete_file)) result.push_back(*step);
    }
    std::sort(result.begin(), result.end());
    return result;
}

std::optional<std::int64_t> CheckpointFolder::newest_good() const {
    std::vector<std::int64_t> candidates = steps();
    std::reverse(candidates.begin(), candidates.end());
    if (const std::optional<std::int64_t> last = linked("last")) {
        const auto place = std::find(candidates.begin(), candidates.end(), *last);
        if (place != candidates.end()) std::rotate(candidates.begin(), place, place + 1);
    }
    for (const std::int64_t step : candidates) {
        try {
            verify_checkpoint(path_of(step));
            return step;
        } catch (const Error& error) {
            log::warning("{} Looking for an older one.", error.message());
        }
    }
    return std::nullopt;
}

void CheckpointFolder::prune(std::int64_t keep) {
    const std::optional<std::int64_t> last = linked("last");
    const std::optional<std::int64_t> best = linked("best");
    std::error_code ignored;
    std::vector<std::int64_t> periodic = steps();
    std::erase_if(periodic, [&](std::int64_t step) { return step == last || step == best; });
    const auto surplus = static_cast<std::int64_t>(periodic.size()) - keep;
    for (std::int64_t i = 0; i < surplus; ++i) {
        // COMPLETE goes first, so that a removal that is interrupted leaves nothing that looks whole.
        const fs::path folder = path_of(periodic[static_cast<std::size_t>(i)]);
        fault::file_operation(fault::FileOperation::remove);
        fs::remove(folder / complete_file, ignored);
        fault::file_operation(fault::FileOperation::remove);
        fs::remove_all(folder, ignored);
        if (ignored)
            log::warning("the old checkpoint {} can't be removed: {}.", folder.string(), ignored.message());
    }
}

void verify_checkpoint(const fs::path& checkpoint) {
    if (!fs::is_directory(checkpoint)) {
        throw Error(ExitCode::input_missing, 902,
                    fmt::format("there is no checkpoint {}.", checkpoint.string()));
    }
    if (!fs::exists(checkpoint / complete_file)) refuse(checkpoint, "it is not complete");
    const std::string sums = read_text_file(checkpoint / sums_file, longest_list);
    const std::string complete = read_text_file(checkpoint / complete_file, longest_list);
    // Before COMPLETE held a checksum it was only the line.
    if (complete != seal(sums) && complete != first_line)
        refuse(checkpoint, "SHA256SUMS or COMPLETE has changed since it was written");
    std::istringstream lines(sums);
    std::string line;
    int files = 0;
    while (std::getline(lines, line)) {
        constexpr std::size_t digits = 64;
        if (line.size() < digits + 3) refuse(checkpoint, "SHA256SUMS is damaged");
        const std::string name = line.substr(digits + 2);
        if (name.find('/') != std::string::npos) refuse(checkpoint, "SHA256SUMS names a file elsewhere");
        if (!fs::is_regular_file(checkpoint / name)) refuse(checkpoint, name + " is missing");
        if (sha256_of_file(checkpoint / name) != line.substr(0, digits)) {
            refuse(checkpoint, name + " has changed since it was written (checksum)");
        }
        ++files;
    }
    if (files == 0) refuse(checkpoint, "SHA256SUMS is empty");
}

}  // namespace terrane::train
