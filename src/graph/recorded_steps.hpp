#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "device/backend.hpp"

namespace terrane::graph {

/// A sequence of steps that is run again and again, always with the same addresses. The first time the steps
/// run one by one, so that libraries can make themselves ready; the second time runs of steps between
/// collectives are recorded; from then on they are replayed. Where the backend does not record, every time is
/// like the first.
class RecordedSteps {
  public:
    using Run = std::function<void(std::size_t position)>;
    using IsCollective = std::function<bool(std::size_t position)>;

    /// Runs steps 0 .. count - 1. `is_collective` steps are never recorded; the answer must stay the same.
    void run(device::Backend& backend, std::size_t count, const IsCollective& is_collective, const Run& run);

  private:
    /// Steps [begin, end), recorded if `recording` is given.
    struct Segment {
        std::size_t begin = 0, end = 0;
        std::unique_ptr<device::Backend::Recording> recording;
    };

    void record(device::Backend& backend, std::size_t count, const IsCollective& is_collective,
                const Run& run);

    int runs_ = 0;  ///< so far, counted to 2
    std::vector<Segment> segments_;
};

}  // namespace terrane::graph
