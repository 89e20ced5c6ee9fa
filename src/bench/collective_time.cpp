#include "bench/collective_time.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "bench/rank_speed.hpp"

namespace terrane::bench {

double CollectiveTime::bus_bandwidth(int ranks) const {
    return 2.0 * (ranks - 1) / ranks * static_cast<double>(bytes) / seconds;
}

std::vector<CollectiveTime> measure_sums(comm::Communicator& communicator, std::size_t largest,
                                         int repetitions) {
    constexpr std::size_t smallest = 4096;
    constexpr int warm_up = 2;
    std::vector<CollectiveTime> rows;
    std::vector<float> values(largest / sizeof(float));
    for (std::size_t bytes = smallest; bytes <= largest; bytes *= 4) {
        const std::span<float> payload(values.data(), bytes / sizeof(float));
        std::vector<double> seconds;
        for (int i = 0; i < warm_up + repetitions; ++i) {
            // Small whole numbers, so that any order of addition gives the same sum.
            for (std::size_t k = 0; k < payload.size(); ++k)
                payload[k] = static_cast<float>((k + static_cast<std::size_t>(i)) % 97);
            communicator.barrier();
            std::array<double, 1> slowest{
                seconds_of([&] { communicator.wait(communicator.start_sum(payload)); })};
            for (std::size_t k = 0; k < payload.size(); ++k) {
                const auto expected = static_cast<float>((k + static_cast<std::size_t>(i)) % 97 *
                                                         static_cast<std::size_t>(communicator.size()));
                TERRANE_ASSERT(payload[k] == expected, "element {} of a sum over ranks is {} instead of {}",
                               k, payload[k], expected);
            }
            communicator.max(slowest);
            if (i >= warm_up) seconds.push_back(slowest[0]);
        }
        std::sort(seconds.begin(), seconds.end());
        rows.push_back({bytes, seconds[seconds.size() / 2], seconds.front()});
    }
    return rows;
}

std::string collectives_json(const std::vector<CollectiveTime>& rows, int ranks, int nodes,
                             const std::string& library, const std::string& command) {
    nlohmann::json json;
    json["bench"] = "comm";
    json["command"] = command;
    json["ranks"] = ranks;
    json["nodes"] = nodes;
    json["library"] = library;
    for (const CollectiveTime& row : rows) {
        json["sums"].push_back({{"bytes", row.bytes},
                                {"seconds", row.seconds},
                                {"least_seconds", row.least},
                                {"bus_bytes_per_second", row.bus_bandwidth(ranks)}});
    }
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace terrane::bench
