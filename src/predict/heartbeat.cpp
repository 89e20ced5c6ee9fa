#include "predict/heartbeat.hpp"

#include <fstream>

namespace terrane::predict {

namespace fs = std::filesystem;

Heartbeat::Heartbeat(fs::path folder, int rank)
    : folder_(std::move(folder)), own_(folder_ / std::to_string(rank)) {}

void Heartbeat::beat() noexcept {
    if (folder_.empty()) return;
    const auto now = std::chrono::steady_clock::now();
    if (last_ != std::chrono::steady_clock::time_point{} && now - last_ < std::chrono::seconds(1)) return;
    last_ = now;
    try {
        std::error_code missing;
        fs::last_write_time(own_, fs::file_time_type::clock::now(), missing);
        if (missing) std::ofstream(own_) << "";
    } catch (...) {
    }
}

bool Heartbeat::others_beat() {
    if (folder_.empty()) return false;
    bool beaten = false;
    std::error_code failure;
    for (fs::directory_iterator entry(folder_, failure), end; !failure && entry != end;
         entry.increment(failure)) {
        if (entry->path() == own_) continue;
        std::error_code gone;
        const auto time = entry->last_write_time(gone);
        if (gone) continue;
        const auto [known, first] = seen_.emplace(entry->path().filename().string(), time);
        beaten = beaten || first || known->second != time;
        known->second = time;
    }
    return beaten;
}

}  // namespace terrane::predict
