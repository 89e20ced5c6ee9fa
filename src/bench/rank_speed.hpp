#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "bench/io.hpp"

// Internal to src/bench.
namespace terrane::bench {

inline double seconds_of(const auto& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Collects one rank's repetitions of a measurement and compares the ranks. Collective.
class SpeedOfRanks {
  public:
    explicit SpeedOfRanks(comm::Communicator& communicator) : communicator_(communicator) {}

    /// All ranks begin together; `work` returns how much it did.
    void repeat(int repetitions, const auto& work) {
        for (int i = 0; i < repetitions; ++i) {
            communicator_.barrier();
            double amount = 0;
            const double seconds = seconds_of([&] { amount = work(); });
            speeds_.push_back(amount / seconds);
        }
    }
    RankSpeed result() {
        std::sort(speeds_.begin(), speeds_.end());
        std::array<double, 2> least{-speeds_.back(), -speeds_[speeds_.size() / 2]};
        std::array<double, 1> sum{speeds_.back()};
        communicator_.max(least);
        communicator_.sum(sum);
        return {-least[0], -least[1], sum[0]};
    }

  private:
    comm::Communicator& communicator_;
    std::vector<double> speeds_;
};

}  // namespace terrane::bench
