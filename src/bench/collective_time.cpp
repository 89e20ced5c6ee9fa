#include "bench/collective_time.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "bench/rank_speed.hpp"

namespace terrane::bench {

namespace {

constexpr std::size_t smallest = 4096;  // bytes

}  // namespace

double CollectiveTime::bus_bandwidth(int ranks) const {
    return 2.0 * (ranks - 1) / ranks * static_cast<double>(bytes) / seconds;
}

std::vector<CollectiveTime> measure_sums(comm::Communicator& communicator, std::size_t largest,
                                         int repetitions) {
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

std::vector<CollectiveTime> measure_queued_sums(device::Backend& backend, device::Collectives& sums,
                                                comm::Communicator& communicator, std::size_t largest,
                                                int repetitions) {
    constexpr int rounds = 5;
    std::vector<CollectiveTime> rows;
    const device::Buffer memory = backend.allocate(largest);
    std::vector<float> host(largest / sizeof(float));
    for (std::size_t bytes = smallest; bytes <= largest; bytes *= 4) {
        const std::span<float> payload(reinterpret_cast<float*>(memory.data()), bytes / sizeof(float));
        // The first one, which also lets the library make itself ready, is of small whole numbers.
        for (std::size_t k = 0; k < payload.size(); ++k) host[k] = static_cast<float>(k % 97);
        backend.copy_to_device(memory.data(), reinterpret_cast<const std::byte*>(host.data()), bytes);
        sums.wait(sums.start_sum(payload));
        backend.copy_to_host(reinterpret_cast<std::byte*>(host.data()), memory.data(), bytes);
        for (std::size_t k = 0; k < payload.size(); ++k) {
            const auto expected = static_cast<float>(k % 97 * static_cast<std::size_t>(sums.size()));
            TERRANE_ASSERT(host[k] == expected, "element {} of a sum over ranks is {} instead of {}", k,
                           host[k], expected);
        }
        // Zeros stay zeros, however often they are summed.
        std::fill_n(host.begin(), payload.size(), 0.0f);
        backend.copy_to_device(memory.data(), reinterpret_cast<const std::byte*>(host.data()), bytes);
        std::vector<double> seconds;
        for (int round = 0; round < rounds; ++round) {
            backend.synchronise();
            communicator.barrier();
            std::array<double, 1> slowest{seconds_of([&] {
                for (int i = 0; i < repetitions; ++i) sums.wait(sums.start_sum(payload));
                backend.synchronise();
            })};
            communicator.max(slowest);
            seconds.push_back(slowest[0] / repetitions);
        }
        std::sort(seconds.begin(), seconds.end());
        rows.push_back({bytes, seconds[rounds / 2], seconds.front()});
    }
    return rows;
}

namespace {

nlohmann::json rows_of(const std::vector<CollectiveTime>& measured, int ranks) {
    nlohmann::json rows = nlohmann::json::array();
    for (const CollectiveTime& row : measured) {
        rows.push_back({{"bytes", row.bytes},
                        {"seconds", row.seconds},
                        {"least_seconds", row.least},
                        {"bus_bytes_per_second", row.bus_bandwidth(ranks)}});
    }
    return rows;
}

}  // namespace

std::string collectives_json(const MeasuredSums& measured, int ranks, int nodes, const std::string& library,
                             const std::string& command) {
    nlohmann::json json;
    json["bench"] = "comm";
    json["command"] = command;
    json["ranks"] = ranks;
    json["nodes"] = nodes;
    json["library"] = library;
    json["sums"] = rows_of(measured.host, ranks);
    if (!measured.device.empty()) json["device_sums"] = rows_of(measured.device, ranks);
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace terrane::bench
