#include "predict/window_feeder.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/error.hpp"

namespace terrane::predict {

namespace {

Range covered(const WindowAxis& axis, Range windows) {
    return {axis.origin(windows.begin), axis.pixels(windows.end - 1).end};
}

}  // namespace

std::size_t WindowFeeder::row_bytes(const std::vector<SourceModality>& modalities, const WindowGrid& grid,
                                    Range columns) {
    const std::int64_t width = covered(grid.columns, grid.columns.windows_of(columns)).size();
    const std::int64_t window = grid.rows.layout().window;
    std::size_t bytes = 0;
    for (const SourceModality& modality : modalities) {
        const std::int64_t pixels = (window / modality.scale) * (width / modality.scale);
        bytes += static_cast<std::size_t>(pixels) * modality.pixel_bytes();
    }
    return bytes;
}

WindowFeeder::WindowFeeder(SceneSource& source, const WindowGrid& grid, const Block& block,
                           std::vector<std::unique_ptr<WindowBatch>>& batches)
    : source_(source),
      grid_(grid),
      window_rows_(grid.rows.windows_of(block.rows)),
      window_columns_(grid.columns.windows_of(block.columns)),
      columns_(covered(grid.columns, window_columns_)) {
    TERRANE_ASSERT(batches.size() >= 2, "{} slots leave nothing to read ahead", batches.size());
    for (const auto& batch : batches) {
        batch->clear();
        free_.push_back(batch.get());
    }
    const std::int64_t window = grid.rows.layout().window;
    for (const SourceModality& modality : source.modalities()) {
        const auto pixels =
            static_cast<std::size_t>((window / modality.scale) * (columns_.size() / modality.scale));
        rows_.push_back({std::vector<std::byte>(pixels * (modality.pixel_bytes() - 1)),
                         std::vector<std::uint8_t>(pixels)});
    }
    thread_ = std::thread([this] { run(); });
}

WindowFeeder::~WindowFeeder() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

const WindowBatch* WindowFeeder::next() {
    std::unique_lock lock(mutex_);
    if (in_use_ != nullptr) {
        in_use_->clear();
        free_.push_back(in_use_);
        in_use_ = nullptr;
        changed_.notify_all();
    }
    const auto start = std::chrono::steady_clock::now();
    changed_.wait(lock, [this] { return !ready_.empty() || finished_; });
    waited_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (failure_) std::rethrow_exception(failure_);
    if (ready_.empty()) return nullptr;
    in_use_ = ready_.front();
    ready_.erase(ready_.begin());
    return in_use_;
}

WindowBatch* WindowFeeder::free_batch() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !free_.empty() || stop_; });
    if (stop_) return nullptr;
    WindowBatch* batch = free_.back();
    free_.pop_back();
    return batch;
}

void WindowFeeder::hand_over(WindowBatch* batch) {
    {
        const std::lock_guard lock(mutex_);
        ready_.push_back(batch);
    }
    changed_.notify_all();
}

void WindowFeeder::run() {
    std::exception_ptr failure;
    try {
        read_all();
    } catch (...) {
        failure = std::current_exception();
    }
    {
        const std::lock_guard lock(mutex_);
        failure_ = failure;
        finished_ = true;
    }
    changed_.notify_all();
}

void WindowFeeder::read_all() {
    WindowBatch* batch = nullptr;
    for (std::int64_t row = window_rows_.begin; row < window_rows_.end; ++row) {
        read_rows(grid_.rows.pixels(row));
        for (std::int64_t column = window_columns_.begin; column < window_columns_.end; ++column) {
            if (batch == nullptr && (batch = free_batch()) == nullptr) return;
            cut(row, column, batch->next());
            const auto& validity = batch->next().validity;
            if (std::ranges::none_of(validity, [](std::uint8_t valid) { return valid != 0; })) continue;
            batch->keep_next();
            if (batch->full()) hand_over(std::exchange(batch, nullptr));
        }
    }
    if (batch != nullptr && !batch->empty()) hand_over(batch);
}

void WindowFeeder::read_rows(Range wanted) {
    const Range kept =
        held_ ? Range{wanted.begin, std::max(held_->end, wanted.begin)} : Range{wanted.begin, wanted.begin};
    for (std::size_t m = 0; m < rows_.size(); ++m) {
        const SourceModality& modality = source_.modalities()[m];
        const std::int64_t scale = modality.scale;
        const auto width = static_cast<std::size_t>(columns_.size() / scale);
        const std::size_t pixel = modality.pixel_bytes() - 1;
        Pixels& rows = rows_[m];
        const auto kept_pixels = static_cast<std::size_t>(kept.size() / scale) * width;
        if (kept_pixels > 0) {
            const auto moved = static_cast<std::size_t>((wanted.begin - held_->begin) / scale) * width;
            std::memmove(rows.values.data(), rows.values.data() + moved * pixel, kept_pixels * pixel);
            std::memmove(rows.validity.data(), rows.validity.data() + moved, kept_pixels);
        }
        read_piecewise(m, {kept.end, wanted.end}, rows.values.data() + kept_pixels * pixel,
                       rows.validity.data() + kept_pixels);
    }
    held_ = wanted;
}

void WindowFeeder::read_piecewise(std::size_t m, Range rows, std::byte* values, std::uint8_t* validity) {
    if (rows.empty()) return;
    const SourceModality& modality = source_.modalities()[m];
    const std::int64_t scale = modality.scale;
    const std::size_t pixel = modality.pixel_bytes() - 1;
    const auto height = static_cast<std::size_t>(rows.size() / scale);
    const auto width = static_cast<std::size_t>(columns_.size() / scale);
    const std::int64_t columns = std::min(most_pixels_at_once / rows.size(), most_columns_at_once);
    const std::int64_t step = std::max(columns / scale, std::int64_t{1}) * scale;
    for (std::int64_t first = columns_.begin; first < columns_.end; first += step) {
        const std::int64_t end = std::min(first + step, columns_.end);
        const auto part = static_cast<std::size_t>((end - first) / scale);
        if (part == width) {
            source_.read(m, rows, columns_, {values, height * width * pixel}, {validity, height * width});
            return;
        }
        piece_.values.resize(std::max(piece_.values.size(), height * part * pixel));
        piece_.validity.resize(std::max(piece_.validity.size(), height * part));
        source_.read(m, rows, {first, end}, {piece_.values.data(), height * part * pixel},
                     {piece_.validity.data(), height * part});
        const auto column = static_cast<std::size_t>((first - columns_.begin) / scale);
        for (std::size_t y = 0; y < height; ++y) {
            const std::size_t to = y * width + column;
            std::memcpy(values + to * pixel, piece_.values.data() + y * part * pixel, part * pixel);
            std::memcpy(validity + to, piece_.validity.data() + y * part, part);
        }
    }
}

void WindowFeeder::cut(std::int64_t row, std::int64_t column, InputWindow& target) const {
    const std::int64_t window = grid_.rows.layout().window;
    target.row = row;
    target.column = column;
    std::ranges::fill(target.validity, std::uint8_t{0});
    for (std::size_t m = 0; m < rows_.size(); ++m) {
        const SourceModality& modality = source_.modalities()[m];
        const std::int64_t scale = modality.scale;
        const auto edge = static_cast<std::size_t>(window / scale);
        const auto width = static_cast<std::size_t>(columns_.size() / scale);
        const auto first = static_cast<std::size_t>((grid_.columns.origin(column) - columns_.begin) / scale);
        const std::size_t pixel = modality.pixel_bytes() - 1;
        InputTile& tile = target.modalities[m];
        tile.valid_pixels = 0;
        for (std::size_t y = 0; y < edge; ++y) {
            const std::size_t from = y * width + first;
            std::memcpy(tile.values.data() + y * edge * pixel, rows_[m].values.data() + from * pixel,
                        edge * pixel);
            std::memcpy(tile.validity.data() + y * edge, rows_[m].validity.data() + from, edge);
        }
        for (const std::uint8_t valid : tile.validity) tile.valid_pixels += valid;
        const auto edges = static_cast<std::size_t>(window);
        const auto step = static_cast<std::size_t>(scale);
        for (std::size_t y = 0; y < edges; ++y) {
            const std::uint8_t* own = tile.validity.data() + (y / step) * edge;
            std::uint8_t* any = target.validity.data() + y * edges;
            for (std::size_t x = 0; x < edges; ++x) any[x] |= own[x / step];
        }
    }
}

}  // namespace terrane::predict
