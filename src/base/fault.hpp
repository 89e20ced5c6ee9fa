#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Faults that a test orders by the environment variable TERRANE_FAULT, so that what must survive them can be
/// tried: "kill@step=3;rank=1" ends rank 1 where step 3 begins. docs/reliability.md lists what can be
/// ordered. Without the variable nothing here does more than read one flag.
namespace terrane::fault {

enum class Kind {
    kill,             ///< SIGKILL to this process
    exit0,            ///< leaves at once, with code 0
    sleep,            ///< for `seconds`
    spin,             ///< for ever, on the processor
    nan_gradient,     ///< one gradient becomes NaN
    infinite_loss,    ///< the rank's loss becomes infinite
    flip_weight_bit,  ///< one bit of one weight turns over
    io_error,         ///< a file operation of a save fails with `error`
    short_write,      ///< a write of a save takes half of its bytes
};

/// What is counted on the way; a fault is due where the count reaches its number.
enum class Place {
    step,            ///< optimizer steps of the run, from 1
    collective,      ///< collectives of the process, from 1
    save,            ///< checkpoints that the process begins to write, from 1
    file_operation,  ///< creations, writes, fsyncs, renames, links and removals while saving, from 1
    saved_byte,      ///< bytes written while saving
    tile,            ///< tiles that the process begins to read for training and evaluation, from 1
    raster_read,     ///< parts of rasters that the process begins to read, from 1
};

enum class FileOperation { create, write, fsync, rename, link, remove };

struct Fault {
    Kind kind = Kind::kill;
    Place place = Place::step;
    std::int64_t number = 0;
    std::int64_t times = 1;                    ///< due at number, number + 1, ... number + times - 1
    int rank = -1;                             ///< -1: on every rank
    double seconds = 0;                        ///< sleep
    int error = 0;                             ///< io_error: the errno
    std::optional<FileOperation> operation{};  ///< io_error: only this one; none: any
};

/// Faults separated by commas: KIND@PLACE=NUMBER with further ";name=value" (rank, times, seconds, error,
/// operation). Throws Error E0111 (2) naming what can't be read.
std::vector<Fault> parse(std::string_view text);

/// From now on the faults of `text` that concern `rank` happen. Throws what parse() throws.
void arm(std::string_view text, int rank);
/// The same with TERRANE_FAULT, and a warning that names it; nothing if it isn't set.
void arm_from_environment(int rank);
void disarm();

namespace detail {
extern std::atomic<bool> armed;
void reached(Place place, std::int64_t number);
bool is_due(Kind kind, Place place, std::int64_t number);
int file_operation(FileOperation operation);
std::size_t write_limit(std::size_t bytes);
void wrote(std::size_t bytes);
void reading_tile();
void reading_raster();
}  // namespace detail

inline bool armed() noexcept {
    return detail::armed.load(std::memory_order_relaxed);
}

/// The count of `place` is `number` now: kill, exit0, sleep and spin happen here.
inline void reached(Place place, std::int64_t number) {
    if (armed()) [[unlikely]]
        detail::reached(place, number);
}

/// Whether the caller has to do what `kind` says.
inline bool is_due(Kind kind, Place place, std::int64_t number) {
    return armed() && detail::is_due(kind, place, number);
}

/// A tile is about to be read.
inline void reading_tile() {
    if (armed()) [[unlikely]]
        detail::reading_tile();
}

/// A part of a raster is about to be read.
inline void reading_raster() {
    if (armed()) [[unlikely]]
        detail::reading_raster();
}

/// While it lives, the thread's file operations count as those of a save.
class Saving {
  public:
    Saving();
    ~Saving();
    Saving(const Saving&) = delete;
    Saving& operator=(const Saving&) = delete;
};

/// To be asked before a file operation: the errno it shall fail with, or 0.
inline int file_operation(FileOperation operation) {
    return armed() ? detail::file_operation(operation) : 0;
}
/// How many of `bytes` the next write may take.
inline std::size_t write_limit(std::size_t bytes) {
    return armed() ? detail::write_limit(bytes) : bytes;
}
/// To be told what a write took.
inline void wrote(std::size_t bytes) {
    if (armed()) [[unlikely]]
        detail::wrote(bytes);
}

}  // namespace terrane::fault
