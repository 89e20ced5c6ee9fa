#include "device/recorded_sums.hpp"

#include <utility>
#include <vector>

namespace terrane::device {

namespace {

class RecordingWithSums final : public Backend::Recording {
  public:
    RecordingWithSums(std::unique_ptr<Backend::Recording> work, Collectives& sums, std::vector<SumCall> calls)
        : work_(std::move(work)), sums_(sums), calls_(std::move(calls)) {}

    // Announced first: if the queue is stuck, the sums that it is stuck in are known.
    void replay() override {
        sums_.announce(calls_);
        work_->replay();
    }

  private:
    std::unique_ptr<Backend::Recording> work_;
    Collectives& sums_;
    std::vector<SumCall> calls_;
};

/// Sums that are called for while it lives are noted, not announced.
class Noting {
  public:
    Noting(Collectives& sums, std::vector<SumCall>& calls) : sums_(sums) { sums_.note_calls(&calls); }
    ~Noting() { sums_.note_calls(nullptr); }
    Noting(const Noting&) = delete;
    Noting& operator=(const Noting&) = delete;

  private:
    Collectives& sums_;
};

}  // namespace

std::unique_ptr<Backend::Recording> record_with_sums(
    Collectives* sums, const std::function<std::unique_ptr<Backend::Recording>()>& record) {
    if (sums == nullptr) return record();
    std::vector<SumCall> calls;
    std::unique_ptr<Backend::Recording> work;
    {
        const Noting noting(*sums, calls);
        work = record();
    }
    if (!work || calls.empty()) return work;
    return std::make_unique<RecordingWithSums>(std::move(work), *sums, std::move(calls));
}

}  // namespace terrane::device
