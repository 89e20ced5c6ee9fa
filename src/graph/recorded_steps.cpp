#include "graph/recorded_steps.hpp"

namespace terrane::graph {

void RecordedSteps::run(device::Backend& backend, std::size_t count, const IsCollective& is_collective,
                        const Run& run) {
    if (runs_ == 1) record(backend, count, is_collective, run);
    if (runs_ < 2) ++runs_;
    if (segments_.empty()) {
        for (std::size_t i = 0; i < count; ++i) run(i);
        return;
    }
    for (const Segment& segment : segments_) {
        if (segment.recording) {
            segment.recording->replay();
        } else {
            for (std::size_t i = segment.begin; i < segment.end; ++i) run(i);
        }
    }
}

void RecordedSteps::record(device::Backend& backend, std::size_t count, const IsCollective& is_collective,
                           const Run& run) {
    for (std::size_t begin = 0; begin < count;) {
        const bool collective = is_collective(begin);
        std::size_t end = begin + 1;
        while (end < count && is_collective(end) == collective) ++end;
        Segment segment{begin, end, nullptr};
        if (!collective) {
            segment.recording = backend.record([&] {
                for (std::size_t i = begin; i < end; ++i) run(i);
            });
            if (!segment.recording) return segments_.clear();  // this backend does not record
        }
        segments_.push_back(std::move(segment));
        begin = end;
    }
}

}  // namespace terrane::graph
