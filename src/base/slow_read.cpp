#include "base/slow_read.hpp"

#include <mutex>

namespace terrane::slow_read {

/// Those under way, in the order in which they began.
struct List {
    std::mutex mutex;
    UnderWay* oldest = nullptr;
    UnderWay* newest = nullptr;

    void add(UnderWay& read) {
        const std::lock_guard lock(mutex);
        read.begun_ = std::chrono::steady_clock::now();
        read.older_ = newest;
        (newest != nullptr ? newest->newer_ : oldest) = &read;
        newest = &read;
    }
    void remove(UnderWay& read) {
        const std::lock_guard lock(mutex);
        (read.older_ != nullptr ? read.older_->newer_ : oldest) = read.newer_;
        (read.newer_ != nullptr ? read.newer_->older_ : newest) = read.older_;
    }
    std::optional<Oldest> tell() {
        const std::lock_guard lock(mutex);
        if (oldest == nullptr) return std::nullopt;
        return Oldest{oldest->text_(oldest->what_), std::chrono::steady_clock::now() - oldest->begun_};
    }
};

namespace {

List& list() {
    static List the_list;
    return the_list;
}

}  // namespace

void UnderWay::enter() {
    list().add(*this);
}

UnderWay::~UnderWay() {
    list().remove(*this);
}

std::optional<Oldest> oldest() {
    return list().tell();
}

}  // namespace terrane::slow_read
