#include "optim/optimizer.hpp"

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "cpu/backend.hpp"
#include "support/catch.hpp"
#include "support/one_update.hpp"

using namespace terrane;

namespace {

struct Fixture {
    std::unique_ptr<device::Backend> backend = cpu::make_cpu_backend();
    config::Optim settings;
    std::vector<float> parameters{1, -2, 3, 4};
    std::vector<float> gradients{30, 40, 0, 0};
    std::vector<device::UpdateSegment> segments{{0, 2, 1, 1}, {2, 2, 1, 0}};

    optim::Optimizer make() { return {settings, segments, 4, *backend}; }
};

}  // namespace

TEST_CASE("SGD divides by the normaliser, decays where asked and carries momentum") {
    Fixture f;
    f.settings.name = "sgd";
    f.settings.momentum = 0.5;
    f.settings.weight_decay = 0.1;
    optim::Optimizer optimizer = f.make();
    const device::UpdateRecord report = test::update(optimizer, f.parameters, f.gradients, 10, 0.1);
    CHECK(report.gradient_norm == Approx(5));
    // v = g / 10 + 0.1 * w
    CHECK(f.parameters[0] == Approx(1 - 0.1 * (3 + 0.1)));
    CHECK(f.parameters[1] == Approx(-2 - 0.1 * (4 - 0.2)));
    CHECK(f.parameters[2] == 3);
    const float before = f.parameters[0];
    test::update(optimizer, f.parameters, f.gradients, 10, 0.1);
    CHECK(f.parameters[0] == Approx(before - 0.1 * (0.5 * 3.1 + 3 + 0.1 * before)));
}

TEST_CASE("AdamW's first update is the rate in each gradient's direction, after the decay") {
    Fixture f;
    f.settings.weight_decay = 0.1;
    optim::Optimizer optimizer = f.make();
    test::update(optimizer, f.parameters, f.gradients, 10, 0.01);
    CHECK(f.parameters[0] == Approx(1 * (1 - 0.001) - 0.01));
    CHECK(f.parameters[1] == Approx(-2 * (1 - 0.001) - 0.01));
    CHECK(f.parameters[3] == 4);
    CHECK(optimizer.moments().size() == 2);
    CHECK(optimizer.moments()[0].values[0] == Approx(0.3));
}

TEST_CASE("Adam adds its decay to the gradient before the moments") {
    Fixture f;
    f.settings.name = "adam";
    f.settings.weight_decay = 0.1;
    f.gradients = {30, 40, 0, 1};
    optim::Optimizer optimizer = f.make();
    test::update(optimizer, f.parameters, f.gradients, 10, 0.01);
    // The first step is the rate in the direction of g / 10 + 0.1 * w.
    CHECK(f.parameters[0] == Approx(1 - 0.01));
    CHECK(f.parameters[1] == Approx(-2 - 0.01));
    CHECK(f.parameters[2] == 3);
    CHECK(optimizer.moments()[0].values[0] == Approx(0.1 * (3 + 0.1)));
    CHECK(optimizer.moments()[1].values[1] == Approx(0.001 * 3.8 * 3.8));
    CHECK(optimizer.moments()[0].values[3] == Approx(0.1 * 0.1));  // a segment without decay
}

TEST_CASE("a frozen segment neither moves nor counts, and begins afresh when it is released") {
    const auto name = GENERATE("sgd", "adam", "adamw");
    Fixture f;
    f.settings.name = name;
    f.gradients = {30, 40, 50, 60};
    f.segments = {{0, 2, 1, 1}, {2, 2, 0.5f, 1, 2}};
    optim::Optimizer optimizer = f.make();
    CHECK(test::update(optimizer, f.parameters, f.gradients, 10, 0.1).gradient_norm == Approx(5));
    test::update(optimizer, f.parameters, f.gradients, 10, 0.1);
    CHECK(f.parameters[2] == 3);
    CHECK(f.parameters[3] == 4);
    for (const auto& moment : optimizer.moments()) CHECK(moment.values[3] == 0);
    CHECK(test::update(optimizer, f.parameters, f.gradients, 10, 0.1).gradient_norm == Approx(std::sqrt(86)));

    Fixture fresh;  // what a first step with that rate does
    fresh.settings.name = name;
    fresh.gradients = f.gradients;
    fresh.segments = {{0, 2, 1, 1}, {2, 2, 0.5f, 1}};
    optim::Optimizer first = fresh.make();
    test::update(first, fresh.parameters, fresh.gradients, 10, 0.1);
    CHECK(f.parameters[2] == fresh.parameters[2]);
    CHECK(f.parameters[3] == fresh.parameters[3]);
}

TEST_CASE("the moving average of the weights follows them with a warm-up of its decay") {
    Fixture f;
    f.settings.name = "sgd";
    f.settings.weight_decay = 0;
    f.settings.momentum = 0;
    f.settings.ema_decay = 0.2;
    optim::Optimizer optimizer = f.make();
    optimizer.start_average(f.parameters);
    f.gradients = {10, 0, 0, 0};
    test::update(optimizer, f.parameters, f.gradients, 10, 1);  // 1 -> 0 with decay 2 / 11
    CHECK(f.parameters[0] == 0);
    test::update(optimizer, f.parameters, f.gradients, 10, 1);  // 0 -> -1 with decay 0.2, below 3 / 12
    {
        const optim::AveragedWeights averaged(optimizer, f.parameters);
        CHECK(f.parameters[0] == Approx(0.2 * 2 / 11 - 0.8));
        CHECK(f.parameters[1] == -2);
        CHECK(optimizer.moments().back().name == "trained");
        CHECK(optimizer.moments().back().values[0] == -1);
    }
    CHECK(f.parameters[0] == -1);
}

TEST_CASE("clipping limits the global norm of the mean gradient") {
    Fixture f;
    f.settings.name = "sgd";
    f.settings.momentum = 0;
    f.settings.weight_decay = 0;
    f.settings.clip_norm = 1;
    optim::Optimizer optimizer = f.make();
    CHECK(test::update(optimizer, f.parameters, f.gradients, 10, 1).gradient_norm == Approx(5));
    CHECK(f.parameters[0] == Approx(1 - 0.6));
    CHECK(f.parameters[1] == Approx(-2 - 0.8));
}

TEST_CASE("a step without a labelled pixel and a step that is not finite change nothing") {
    Fixture f;
    optim::Optimizer optimizer = f.make();
    const std::vector<float> before = f.parameters;
    test::update(optimizer, f.parameters, f.gradients, 0, 0.1);
    CHECK(f.parameters == before);
    f.gradients[1] = std::numeric_limits<float>::quiet_NaN();
    CHECK(test::update(optimizer, f.parameters, f.gradients, 10, 0.1).verdict ==
          device::Verdict::bad_gradient);
    CHECK(f.parameters == before);
    f.settings.name = "adamax";
    CHECK_THROWS_AS(f.make(), Error);
}
