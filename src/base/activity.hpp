#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// What this process works on just now, set where it changes and read by another thread for the message when
/// the job breaks. Setting allocates nothing and takes less than a microsecond.
namespace terrane::activity {

/// "reading tiles", "training", "evaluating". `work` is a literal.
void set_work(const char* work);
/// The operation under way: "forward of", "encoder.stem". `phase` is a literal; long names are cut.
void set_operation(const char* phase, std::string_view name);
/// The samples in work. `source` only says whose numbers they are; of many only the first are kept.
void set_tiles(const void* source, std::span<const std::int64_t> tiles);
/// The tile that is being read ahead; below 0: none.
void set_reading(const void* source, std::int64_t tile);

struct State {
    std::string work;       ///< empty before the first set_work()
    std::string operation;  ///< "forward of encoder.stem", or empty
    const void* tiles_source = nullptr;
    std::vector<std::int64_t> tiles;
    std::int64_t tile_count = 0;  ///< of all, also those that are not kept
    const void* reading_source = nullptr;
    std::int64_t reading = -1;
};
State state();

}  // namespace terrane::activity
