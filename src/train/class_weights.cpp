#include "train/class_weights.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"

namespace terrane::train {

namespace {

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

std::vector<float> class_weights(const std::string& method, std::span<const std::int64_t> pixels,
                                 std::span<const config::Class> classes) {
    const double total = static_cast<double>(std::accumulate(pixels.begin(), pixels.end(), std::int64_t{0}));
    std::vector<double> present;
    for (const std::int64_t count : pixels) {
        if (count > 0) present.push_back(static_cast<double>(count) / total);
    }

    std::vector<double> weights(pixels.size(), 1);
    double sum = 0;
    for (std::size_t c = 0; c < pixels.size(); ++c) {
        if (pixels[c] == 0) continue;
        const double share = static_cast<double>(pixels[c]) / total;
        if (method == "inverse") {
            weights[c] = 1 / share;
        } else if (method == "sqrt_inverse") {
            weights[c] = 1 / std::sqrt(share);
        } else if (method == "median") {
            weights[c] = median(present) / share;
        } else if (method != "none") {
            throw Error(ExitCode::config_invalid, 516,
                        fmt::format("loss.class_weights \"{}\" is unknown.", method),
                        "Choose none, inverse, sqrt_inverse or median.");
        }
        sum += weights[c];
    }

    std::vector<float> result(pixels.size(), 1);
    for (std::size_t c = 0; c < pixels.size(); ++c) {
        if (pixels[c] > 0)
            result[c] = static_cast<float>(weights[c] * static_cast<double>(present.size()) / sum);
        if (c < classes.size() && classes[c].weight > 0) result[c] = static_cast<float>(classes[c].weight);
    }
    return result;
}

}  // namespace terrane::train
