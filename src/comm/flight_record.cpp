#include "comm/flight_record.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace terrane::comm {

double FlightRecord::now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - origin_).count();
}

std::int64_t FlightRecord::begin(const char* kind, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::int64_t number = ++begun_;
    entry(number) = {number, kind, static_cast<std::int64_t>(bytes), now(), -1, 0};
    return number;
}

void FlightRecord::wait(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    inside_ = number;
    // A collective that has fallen out of the ring keeps the name of the one before it.
    if (entry(number).number == number) kind_ = entry(number).kind;
    since_ = now();
}

void FlightRecord::end(std::int64_t number) {
    const std::lock_guard lock(mutex_);
    const double time = now();
    if (entry(number).number == number) entry(number).ended = time;
    if (inside_ == number) waited_ += time - since_;
    inside_ = 0;
    since_ = time;
}

std::int64_t FlightRecord::begin_traffic(const char* kind, std::size_t bytes) {
    const std::int64_t number = begin(kind, bytes);
    const std::lock_guard lock(mutex_);
    traffic_.bytes += static_cast<std::int64_t>(bytes);
    if (moving_++ == 0) moving_since_ = now();
    return number;
}

void FlightRecord::end_traffic(std::int64_t number) {
    end(number);
    const std::lock_guard lock(mutex_);
    if (--moving_ == 0) traffic_.seconds += now() - moving_since_;
}

void FlightRecord::sums_queued(std::span<const device::SumCall> sums) {
    const std::lock_guard lock(mutex_);
    const double time = now();
    for (const device::SumCall& sum : sums) {
        const std::int64_t number = ++begun_;
        entry(number) = {number, sum.kind, sum.bytes, time, -1, ++queued_};
    }
}

void FlightRecord::sums_done(std::int64_t count) {
    const std::lock_guard lock(mutex_);
    const double time = now();
    for (CollectiveEntry& one : ring_) {
        if (one.queued > 0 && one.queued <= count && one.ended < 0) one.ended = time;
    }
}

Traffic FlightRecord::traffic() const {
    const std::lock_guard lock(mutex_);
    Traffic traffic = traffic_;
    if (moving_ > 0) traffic.seconds += now() - moving_since_;
    return traffic;
}

RankState FlightRecord::state() const {
    const std::lock_guard lock(mutex_);
    return {begun_, inside_, kind_, now() - since_, step_.load(std::memory_order_relaxed), {}};
}

double FlightRecord::waited() const {
    const std::lock_guard lock(mutex_);
    return waited_ + (inside_ != 0 ? now() - since_ : 0);
}

std::vector<std::string> FlightRecord::lines() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> lines;
    const double time = now();
    for (std::int64_t number = std::max<std::int64_t>(1, begun_ - static_cast<std::int64_t>(kept) + 1);
         number <= begun_; ++number) {
        const CollectiveEntry& one = ring_[static_cast<std::size_t>(number) % kept];
        const bool over = one.ended >= 0;
        const std::string when = one.queued > 0 ? fmt::format("queued at {:.3f} s, {} {:.3f} s", one.begun,
                                                              over ? "seen done at" : "not seen done by now,",
                                                              over ? one.ended : time)
                                                : fmt::format("{:.3f} s to {}", one.begun,
                                                              over ? fmt::format("{:.3f} s", one.ended)
                                                                   : fmt::format("now ({:.3f} s)", time));
        lines.push_back(fmt::format("#{} {}, {} bytes, {}", one.number, one.kind, one.bytes, when));
    }
    return lines;
}

}  // namespace terrane::comm
