#include "app/straggler_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace terrane::app {

namespace {

// Below these the difference is the machine's ordinary restlessness.
constexpr double notable_ratio = 1.3;
constexpr double notable_share = 0.05;  // of the time of the steps

}  // namespace

std::string name_straggler(const std::vector<RankTimes>& ranks, const std::vector<std::string>& hosts) {
    if (ranks.size() < 2) return {};
    std::vector<double> own;
    for (const RankTimes& rank : ranks) own.push_back(rank.own);
    const auto slowest = static_cast<std::size_t>(std::max_element(own.begin(), own.end()) - own.begin());
    const double longest = own[slowest];
    // Of the others: with two ranks the slow one must not be its own measure.
    own.erase(own.begin() + static_cast<std::ptrdiff_t>(slowest));
    std::nth_element(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(own.size() / 2), own.end());
    const double median = own[own.size() / 2];
    const double whole = longest + ranks[slowest].waited;
    if (longest < notable_ratio * median || longest - median < notable_share * whole) return {};
    return fmt::format(
        "rank {} on {} needs {:.1f} times as long for its work as the median of the others ({:.1f} s against "
        "{:.1f} s); they wait for it",
        slowest, hosts[slowest], longest / std::max(median, 1e-9), longest, median);
}

void StragglerWatch::pause() {
    since_ = Clock::now();
    waited_before_ = world_.waited();
}

void StragglerWatch::step() {
    const double passed = std::chrono::duration<double>(Clock::now() - since_).count();
    const double waited = world_.waited() - waited_before_;
    times_.own += std::max(0.0, passed - waited);
    times_.waited += waited;
    pause();
}

std::string StragglerWatch::epoch() {
    std::vector<RankTimes> ranks;
    for (const std::string& text :
         world_.communicator().all_gather(fmt::format("{:.6f} {:.6f}", times_.own, times_.waited))) {
        RankTimes one;
        const char* const end = text.data() + text.size();
        const char* const middle = std::from_chars(text.data(), end, one.own).ptr;
        if (middle < end) std::from_chars(middle + 1, end, one.waited);
        ranks.push_back(one);
    }
    times_ = {};
    pause();
    return name_straggler(ranks, world_.hosts());
}

}  // namespace terrane::app
