// Prints losses of the reference backend with their gradients, one JSON object a line, for
// losses_as_pytorch.py.
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/philox.hpp"
#include "kernels/by_hand.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

constexpr std::int64_t batch = 2, height = 3, width = 4, classes = 4, factor = 2;

std::vector<double> draw(std::size_t count, const std::function<double(PhiloxStream&)>& one) {
    PhiloxStream random(3, count);
    std::vector<double> values(count);
    for (double& value : values) value = one(random);
    return values;
}

void print(const std::string& name, const ops::Op& op) {
    const auto logits =
        draw(batch * height * width * classes, [](PhiloxStream& random) { return random.normal(); });
    const auto labels = draw(batch * factor * height * factor * width, [](PhiloxStream& random) {
        const auto drawn = random.below(classes + 1);
        return drawn == classes ? 255.0 : drawn;
    });
    const std::vector<double> weights{1, 0.5, 2, 1.5};
    const RunResult result = reference(op,
                                       {{activation({batch, height, width, classes}), logits},
                                        {test::labels({batch, factor * height, factor * width}), labels},
                                        {state({classes}), weights}},
                                       with_gradients);
    const nlohmann::json line{{"name", name},
                              {"shape", {batch, height, width, classes}},
                              {"factor", factor},
                              {"logits", logits},
                              {"labels", labels},
                              {"weights", weights},
                              {"loss", result.outputs[0][0]},
                              {"gradient", result.gradients[0]}};
    std::cout << line << '\n';
}

}  // namespace

int main() {
    print("cross_entropy", ops::CrossEntropy{.label_smoothing = 0.1});
    print("focal", ops::Focal{.gamma = 2});
    print("dice", ops::Dice{});
    print("dice_over_images", ops::Dice{.over = ops::ScoreOver::image});
    print("tversky", ops::Tversky{.alpha = 0.3, .beta = 0.7, .exponent = 1.5});
    print("lovasz", ops::Lovasz{});
    print("lovasz_over_batch", ops::Lovasz{.over = ops::ScoreOver::batch});
    print("boundary", ops::Boundary{});
}
