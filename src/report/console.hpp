#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "report/run_folder.hpp"

namespace terrane::report {

/// One step's state as the progress line shows it.
struct Progress {
    std::int64_t epoch = 0;
    std::int64_t step = 0;   ///< within the epoch
    std::int64_t steps = 0;  ///< of the epoch
    double loss = 0;
    double learning_rate = 0;
    double gradient_norm = 0;
    double tiles_per_second = 0;
    double io_wait = 0;  ///< fraction, 0..1
    double epoch_seconds_left = 0;
    double total_seconds_left = 0;
};

/// The state of a prediction.
struct PredictionProgress {
    std::string scene;
    std::int64_t window = 0;
    std::int64_t windows = 0;
    double pixels_per_second = 0;
    double io_wait = 0;  ///< fraction, 0..1
    double seconds_left = 0;
};

/// "0:31", "3:12:08".
std::string format_duration(double seconds);
/// The progress line, with a bar of 20 characters: `ep 13 [##########----------] 210/400  loss 0.412
/// lr 5.1e-04 ...`
std::string format_progress(const Progress& progress);
/// `naip [##########----------] 210/400 windows  1.25 Mpx/s  io-wait 2%  eta 0:31`
std::string format_progress(const PredictionProgress& progress);
/// The heading of the epoch table and one row of it, columns aligned.
std::string epoch_heading();
std::string format_epoch(const EpochRecord& record);

/// The lines of the start banner.
struct Banner {
    std::string version;  ///< "0.1.0"
    std::string verb;
    std::string run;  ///< "run=runs/potsdam/20260301-101500_482913", or empty
    std::string job;  ///< "job 482913 restart 1", or empty
    int nodes = 1;
    int ranks = 1;
    std::string message_layer;        ///< "Open MPI 4.1.4"
    std::string launcher;             ///< "mpirun: OMPI_COMM_WORLD_SIZE": who won, and by what
    std::string transport = "mpi";    ///< or "tcp"
    std::string master;               ///< "10.0.0.1:29500" where the ranks met without MPI, or empty
    std::vector<std::string> places;  ///< a line for each rank, or fewer where they are many
    std::vector<std::string>
        environment;  ///< variables of the message layers that are set: "NCCL_DEBUG=INFO"
    int threads = 1;
    std::string binding;
    std::vector<std::string> gpus;  ///< the driver, and a line for each GPU of rank 0's machine
    std::string device;             ///< what is computed on, and why: "cpu, oneDNN 2.6.3 ... (auto: ...)"
    std::vector<std::string> libraries;  ///< "gdal 3.6.2"
};
std::string format_banner(const Banner& banner);

/// The `data` line: tile counts, tile edge, share of ignored pixels, modalities with their band counts.
struct DataSummary {
    std::string tiles;     ///< the folder
    std::string identity;  ///< of the store; its first 4 characters are shown
    std::int64_t train = 0;
    std::int64_t val = 0;
    std::int64_t test = 0;
    std::int64_t edge = 0;
    double ignored = 0;  ///< fraction of pixels
    std::vector<std::pair<std::string, std::int64_t>> modalities;
};
std::string format_data(const DataSummary& summary);
/// `mem   params 31.2 M  planned peak 21.4 of 139 GiB per rank`
std::string format_memory(std::int64_t parameters, std::int64_t planned_bytes, std::int64_t available_bytes);

/// How progress is shown, from runtime.progress and what standard error is.
enum class ProgressKind { bar, line, none };
ProgressKind choose_progress(const std::string& configured, bool terminal);
/// Whether standard error is a terminal that understands control sequences (TERM isn't "dumb").
bool error_stream_is_terminal();
/// Whether colours may be used: on such a terminal, unless NO_COLOR is set to anything.
bool colors_allowed();

/// Rank 0's display of a training or a prediction. A bar is drawn over itself on a terminal; elsewhere a
/// plain line appears every few seconds and no carriage return ever. Other ranks make one with
/// ProgressKind::none.
class Console {
  public:
    using Clock = std::function<double()>;                   ///< seconds
    using Writer = std::function<void(const std::string&)>;  ///< raw bytes for the terminal

    explicit Console(ProgressKind kind);
    /// For tests: own clock and terminal.
    Console(ProgressKind kind, bool colors, Clock clock, Writer writer);
    ~Console();
    Console(const Console&) = delete;
    Console& operator=(const Console&) = delete;

    /// Call it every step; it decides whether anything is shown.
    void progress(const Progress& progress);
    void progress(const PredictionProgress& progress);
    /// A row of the epoch table, the heading before the first.
    void epoch(const EpochRecord& record);
    /// Any other line; the bar is taken away first.
    void line(const std::string& text);

  private:
    bool due();
    void show(std::string text);
    void erase_bar();

    ProgressKind kind_;
    bool colors_;
    Clock clock_;
    Writer writer_;
    std::optional<double> last_shown_;
    bool bar_visible_ = false;
    bool heading_shown_ = false;
};

}  // namespace terrane::report
