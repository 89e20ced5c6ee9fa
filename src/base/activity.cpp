#include "base/activity.hpp"

#include <algorithm>
#include <array>
#include <mutex>

namespace terrane::activity {

namespace {

constexpr std::size_t longest_name = 80;
constexpr std::size_t most_tiles = 4;

struct Board {
    std::mutex mutex;
    const char* work = "";
    const char* phase = "";
    std::array<char, longest_name> name{};
    std::size_t name_length = 0;
    const void* tiles_source = nullptr;
    std::array<std::int64_t, most_tiles> tiles{};
    std::int64_t tile_count = 0;
    const void* reading_source = nullptr;
    std::int64_t reading = -1;
};

// Never destroyed: another thread may look while the process ends.
Board& board() {
    static Board* const the_board = new Board;
    return *the_board;
}

}  // namespace

void set_work(const char* work) {
    Board& now = board();
    const std::lock_guard lock(now.mutex);
    now.work = work;
    now.phase = "";
    now.name_length = 0;
}

void set_operation(const char* phase, std::string_view name) {
    Board& now = board();
    const std::lock_guard lock(now.mutex);
    now.phase = phase;
    now.name_length = std::min(name.size(), longest_name);
    std::copy_n(name.begin(), now.name_length, now.name.begin());
}

void set_tiles(const void* source, std::span<const std::int64_t> tiles) {
    Board& now = board();
    const std::lock_guard lock(now.mutex);
    now.tiles_source = source;
    now.tile_count = static_cast<std::int64_t>(tiles.size());
    std::copy_n(tiles.begin(), std::min(tiles.size(), most_tiles), now.tiles.begin());
}

void set_reading(const void* source, std::int64_t tile) {
    Board& now = board();
    const std::lock_guard lock(now.mutex);
    now.reading_source = source;
    now.reading = tile;
}

State state() {
    Board& now = board();
    const std::lock_guard lock(now.mutex);
    State state;
    state.work = now.work;
    state.operation = now.phase;
    if (now.name_length > 0) state.operation.append(" ").append(now.name.data(), now.name_length);
    state.tiles_source = now.tiles_source;
    const auto kept = std::min(static_cast<std::size_t>(now.tile_count), most_tiles);
    state.tiles.assign(now.tiles.begin(), now.tiles.begin() + static_cast<std::ptrdiff_t>(kept));
    state.tile_count = now.tile_count;
    state.reading_source = now.reading_source;
    state.reading = now.reading;
    return state;
}

}  // namespace terrane::activity
