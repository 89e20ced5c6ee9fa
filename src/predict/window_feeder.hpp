#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "predict/window_batch.hpp"

namespace terrane::predict {

/// A rectangle of a scene's pixels.
struct Block {
    Range rows;
    Range columns;
};

/// Cuts the windows of a block out of the scene, row by row, in a thread of its own, a few batches ahead of
/// the network. Each pixel is read from the files once per block: the rows that the next windows share are
/// kept. Windows without a valid pixel are left out.
class WindowFeeder {
  public:
    /// `source` must outlive the feeder and is used by its thread only. `batches` are the slots to fill, at
    /// least two, so that one is read while another is computed.
    WindowFeeder(SceneSource& source, const WindowGrid& grid, const Block& block,
                 std::vector<std::unique_ptr<WindowBatch>>& batches);
    /// Stops the thread.
    ~WindowFeeder();
    WindowFeeder(const WindowFeeder&) = delete;
    WindowFeeder& operator=(const WindowFeeder&) = delete;

    /// The next batch, or null after the last. The batch before it is given back. Rethrows what stopped the
    /// reading.
    const WindowBatch* next();
    /// Seconds that next() waited for the files.
    double waited_seconds() const { return waited_seconds_; }

    /// The source is asked for at most about this many reference pixels at once, so that its own buffers stay
    /// small.
    static constexpr std::int64_t most_pixels_at_once = std::int64_t{1} << 20;
    /// And no wider than this: under a long strip of the scene a raster of another CRS, turned by a few degrees,
    /// is read from a rectangle many times as high as the strip.
    static constexpr std::int64_t most_columns_at_once = 2048;

    /// Bytes held for the rows of a block, beside the batches.
    static std::size_t row_bytes(const std::vector<SourceModality>& modalities, const WindowGrid& grid,
                                 Range columns);

  private:
    /// A rectangle of one modality.
    struct Pixels {
        std::vector<std::byte> values;       // [rows / scale, columns / scale, bands]
        std::vector<std::uint8_t> validity;  // [rows / scale, columns / scale]
    };

    void run();
    void read_all();
    void read_rows(Range wanted);
    void read_piecewise(std::size_t m, Range rows, std::byte* values, std::uint8_t* validity);
    void cut(std::int64_t row, std::int64_t column, InputWindow& target) const;
    WindowBatch* free_batch();
    void hand_over(WindowBatch* batch);

    SceneSource& source_;
    const WindowGrid& grid_;
    Range window_rows_, window_columns_;
    Range columns_;              // pixels under all windows of the block
    std::optional<Range> held_;  // scene rows in rows_
    std::vector<Pixels> rows_;   // of each modality under the current row of windows
    Pixels piece_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<WindowBatch*> free_, ready_;
    WindowBatch* in_use_ = nullptr;
    bool finished_ = false;
    bool stop_ = false;
    std::exception_ptr failure_;
    double waited_seconds_ = 0;
    std::thread thread_;
};

}  // namespace terrane::predict
