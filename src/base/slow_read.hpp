#pragma once

#include <chrono>
#include <optional>
#include <string>

/// Reads from files that are under way in this process, so that one that never returns (a file server that is
/// gone) can be named by a thread that still runs. Nothing is allocated but where somebody asks.
namespace terrane::slow_read {

/// A read, for as long as the object lives; from any thread.
class UnderWay {
  public:
    /// `what` tells the file and the part of it as a text, "dem.tif at columns 0 to 256, rows 512 to 768"; it
    /// is called from another thread and outlives the object.
    template <typename What>
    explicit UnderWay(const What& what)
        : what_(&what), text_([](const void* function) { return (*static_cast<const What*>(function))(); }) {
        enter();
    }
    template <typename What>
    explicit UnderWay(const What&& what) = delete;
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

  private:
    friend struct List;

    void enter();

    const void* what_;
    std::string (*text_)(const void*);
    std::chrono::steady_clock::time_point begun_;
    UnderWay* older_ = nullptr;
    UnderWay* newer_ = nullptr;
};

struct Oldest {
    std::string what;
    std::chrono::duration<double> since;
};
/// The read that has been under way for longest; none: nothing is being read.
std::optional<Oldest> oldest();

}  // namespace terrane::slow_read
