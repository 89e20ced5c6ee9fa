#include "app/straggler_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <locale>
#include <sstream>

namespace terrane::app {

namespace {

// Below these the difference is the machine's ordinary restlessness.
constexpr double notable_ratio = 1.3;
constexpr double notable_share = 0.05;  // of the time of the steps
constexpr double notable_seconds = 0.5;

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
    if (longest < notable_ratio * median ||
        longest - median < std::max(notable_seconds, notable_share * whole))
        return {};
    return fmt::format(
        "rank {} on {} needs {:.1f} times as long for its work as the median of the others ({:.1f} s against "
        "{:.1f} s); they wait for it",
        slowest, hosts[slowest], longest / std::max(median, 1e-9), longest, median);
}

Balance balance_of(const std::vector<RankTimes>& ranks, const std::vector<std::string>& hosts) {
    Balance balance;
    balance.straggler = name_straggler(ranks, hosts);
    double own = 0, waited = 0, longest = 0, shortest_sums = std::numeric_limits<double>::infinity();
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
        own += ranks[rank].own;
        waited += ranks[rank].waited;
        if (ranks[rank].own > longest) balance.slowest = rank;
        longest = std::max(longest, ranks[rank].own);
        shortest_sums = std::min(shortest_sums, ranks[rank].traffic.seconds);
    }
    const auto count = static_cast<double>(ranks.size());
    if (own > 0) balance.imbalance = longest * count / own;
    if (own + waited > 0) balance.waiting = waited / (own + waited);
    if (ranks.empty()) return balance;
    const auto bytes = static_cast<double>(ranks[0].traffic.bytes);  // the same on all
    balance.megabytes = bytes / 1e6;
    if (bytes > 0 && shortest_sums > 0)
        balance.gigabytes_per_second = 2 * (count - 1) / count * bytes / shortest_sums / 1e9;
    return balance;
}

std::string Balance::text(const std::vector<std::string>& hosts) const {
    std::string text = fmt::format("imbalance {:.2f} (rank {} on {}), {:.0f} % of the time waiting",
                                   imbalance, slowest, hosts[slowest], 100 * waiting);
    if (megabytes > 0)
        text += fmt::format(", {:.1f} MB of gradients at {:.3g} GB/s", megabytes, gigabytes_per_second);
    return text;
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

Balance StragglerWatch::epoch() {
    const comm::Traffic traffic = world_.traffic();
    std::vector<RankTimes> ranks;
    for (const std::string& text : world_.communicator().all_gather(
             fmt::format("{:.6f} {:.6f} {} {:.9f}", times_.own, times_.waited,
                         traffic.bytes - traffic_before_.bytes, traffic.seconds - traffic_before_.seconds))) {
        RankTimes one;
        std::istringstream words(text);
        words.imbue(std::locale::classic());
        words >> one.own >> one.waited >> one.traffic.bytes >> one.traffic.seconds;
        ranks.push_back(one);
    }
    times_ = {};
    traffic_before_ = world_.traffic();
    pause();
    return balance_of(ranks, world_.hosts());
}

}  // namespace terrane::app
