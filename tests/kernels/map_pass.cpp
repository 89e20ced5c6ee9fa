// How the CUDA kernels walk over maps, and how they divide.
#include "cuda/map_pass.hpp"

#include <vector>

#include "base/philox.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

/// Counts how often each element is visited.
struct Visits {
    int* counts;
    int rows, columns, channels;

    struct Site {
        std::int64_t first;
    };
    Site at(int n, int row, int column) const {
        return {((static_cast<std::int64_t>(n) * rows + row) * columns + column) * channels};
    }
    template <int width>
    void apply(const Site& site, int channel) const {
        for (int i = 0; i < width; ++i) ++counts[site.first + channel + i];
    }
};

template <typename T>
bool visits_each_once(int batch, int rows, int columns, int channels) {
    std::vector<int> counts(static_cast<std::size_t>(batch * rows * columns * channels) + 16);
    cuda::launch_maps<T>({}, batch, rows, columns, channels, Visits{counts.data(), rows, columns, channels});
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (counts[i] != (i < counts.size() - 16 ? 1 : 0)) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("a pass over maps visits each element once, whatever a thread takes", "[cuda]") {
    CHECK(visits_each_once<float>(2, 3, 5, 8));
    CHECK(visits_each_once<float>(2, 3, 5, 7));
    CHECK(visits_each_once<float>(3, 1, 1, 1));
    CHECK(visits_each_once<float>(1, 40, 60, 1001));  // two channels per thread
    CHECK(visits_each_once<bfloat16>(2, 20, 30, 33 * 8 * 64));
    CHECK(visits_each_once<bfloat16>(1, 1, 3, 8 * 1000003));  // eight packs per thread
    CHECK(visits_each_once<bfloat16>(0, 3, 3, 8));
}

TEST_CASE("a pass over maps begins at any line", "[cuda]") {
    std::vector<int> counts(6 * 7 * 8);
    const cuda::MapPass<8, Visits> pass{
        {counts.data(), 3, 7, 8}, cuda::Divisor(1), cuda::Divisor(7), cuda::Divisor(3), 1, 4};
    for (std::int64_t item = 0; item < 2 * 7; ++item) pass(item);
    for (std::size_t i = 0; i < counts.size(); ++i) CHECK(counts[i] == (i < 4 * 7 * 8 ? 0 : 1));
}

TEST_CASE("a divisor divides as a number does", "[cuda]") {
    PhiloxStream stream(7, 11);
    constexpr std::int64_t limit = (INT64_C(1) << 31) - 1;
    const auto agree = [](std::int64_t dividend, std::int64_t value) {
        return static_cast<int>(dividend) / cuda::Divisor(value) == dividend / value;
    };
    std::vector<std::int64_t> values{1, 2, 3, 7, 641, 65535, 65536, 65537, limit - 1, limit};
    for (int i = 0; i < 500; ++i) values.push_back(1 + stream.word() % (1u << (1 + i % 31)));
    int wrong = 0;
    for (const std::int64_t value : values) {
        for (const std::int64_t dividend : {INT64_C(0), value - 1, value, limit / value * value,
                                            limit / value * value - 1, limit - 1, limit}) {
            wrong += agree(dividend, value) ? 0 : 1;
        }
        for (int i = 0; i < 200; ++i) wrong += agree(stream.word() >> (1 + i % 31), value) ? 0 : 1;
    }
    CHECK(wrong == 0);
}
