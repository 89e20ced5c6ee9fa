#include <cmath>

#include "base/philox.hpp"
#include "graph/program.hpp"
#include "nets/network.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

config::Model small_model() {
    config::Model model;
    model.encoder_width = 8;
    model.decoder_channels = 16;
    model.aspp_channels = 8;
    model.aspp_rates = {1, 2};
    model.dropout = 0.3;
    return model;
}

nets::NetworkInputs small_inputs(std::int64_t batch = 2) {
    return {.modalities = {{"optical", 3, 1}, {"height", 1, 2}},
            .classes = 4,
            .batch = batch,
            .height = 32,
            .width = 32};
}

/// A program with random parameters (no norm scale at zero) and random inputs; labels with ignored pixels.
class Fixture {
  public:
    Fixture(const config::Model& model, const config::Loss& loss, DType compute,
            nets::Task task = nets::Task::train, graph::MemoryChecks checks = graph::MemoryChecks::off)
        : backend(ref::make_ref_backend()),
          network(nets::build_network(model, loss, small_inputs(), task, compute)),
          store(*backend, network),
          program(graph::plan_program(network, *backend, {.bucket_bytes = 1 << 16, .checks = checks}),
                  *backend, store, alone) {
        store.initialise(5);
        for (const auto& entry : store.entries()) {
            if (entry.shape.rank() == 1) perturb(store.parameter(entry), entry.name);
        }
        program.parameters_changed();
        for (const auto& modality : small_inputs().modalities)
            fill(program.input(modality.name), modality.name);
        each(program.input("presence"), [](double) { return 1.0; });
        if (program.has_input("labels")) {
            PhiloxStream random(2, 2);
            for (auto& label : program.input("labels").span<std::uint8_t>()) {
                const auto draw = static_cast<std::uint8_t>(random.below(5));
                label = draw == 4 ? std::uint8_t{255} : draw;
            }
        }
    }

    double loss_sum() {
        program.run_training({.seed = 9, .step = 3, .first_sample = 0}, {});
        return program.losses().sum;
    }

    template <typename Function>
    static void each(const TensorView& view, Function function) {
        if (view.dtype() == DType::f64) {
            for (double& value : view.span<double>()) value = function(value);
        } else {
            for (float& value : view.span<float>()) value = static_cast<float>(function(value));
        }
    }
    static void fill(const TensorView& view, std::string_view name) {
        PhiloxStream random(1, stream_of(name));
        each(view, [&](double) { return random.normal(); });
    }
    static void perturb(const TensorView& view, std::string_view name) {
        PhiloxStream random(4, stream_of(name));
        const double base = name.ends_with(".weight") ? 1.0 : 0.0;
        each(view, [&](double) { return base + 0.3 * random.normal(); });
    }

    std::unique_ptr<device::Backend> backend;
    device::SingleRank alone;
    graph::Graph network;
    graph::ParameterStore store;
    graph::Program program;
};

}  // namespace

TEST_CASE("every parameter's gradient of the whole network equals the central difference", "[nets]") {
    config::Loss loss;
    loss.label_smoothing = 0.1;
    loss.terms = {{.name = "cross_entropy", .weight = 1.0}, {.name = "dice", .weight = 0.7}};
    const std::string norm = GENERATE(as<std::string>(), "batch", "sync_batch", "group");
    config::Model model = small_model();
    model.norm = norm;
    Fixture fixture(model, loss, DType::f64);

    fixture.loss_sum();
    std::vector<double> gradients;
    std::vector<std::pair<double*, std::string>> probes;
    PhiloxStream random(8, 8);
    for (const auto& entry : fixture.store.entries()) {
        if (random.below(3) != 0) continue;
        const auto position = random.below(static_cast<std::uint32_t>(entry.elements()));
        probes.emplace_back(fixture.store.parameter(entry).as<double>() + position, entry.name);
        gradients.push_back(fixture.store.gradient(entry).as<double>()[position]);
    }
    REQUIRE(probes.size() > 20);
    for (std::size_t i = 0; i < probes.size(); ++i) {
        double& value = *probes[i].first;
        const double before = value, step = 1e-6;
        value = before + step;
        fixture.program.parameters_changed();
        const double above = fixture.loss_sum();
        value = before - step;
        fixture.program.parameters_changed();
        const double below = fixture.loss_sum();
        value = before;
        fixture.program.parameters_changed();
        const double expected = (above - below) / (2 * step);
        CAPTURE(norm, probes[i].second, gradients[i], expected);
        CHECK(std::abs(gradients[i] - expected) <= 1e-5 * std::max(1.0, std::abs(expected)) + 2e-5);
    }
}

TEST_CASE("micro-steps add gradients up", "[nets]") {
    Fixture fixture(small_model(), {}, DType::f64);
    const auto& entry = *fixture.store.find("encoder.optical.conv1.weight");
    fixture.program.run_training({.seed = 9, .step = 3}, {.first = true, .last = false});
    const auto view = fixture.store.gradient(entry).span<double>();
    const std::vector<double> once(view.begin(), view.end());
    fixture.program.run_training({.seed = 9, .step = 3}, {.first = false, .last = true});
    for (std::size_t i = 0; i < once.size(); ++i) CHECK(view[i] == Approx(2 * once[i]));
}

TEST_CASE("no step writes outside its blocks and nothing unwritten is read", "[nets]") {
    Fixture guarded(small_model(), {}, DType::f32, nets::Task::train, graph::MemoryChecks::guards);
    Fixture plain(small_model(), {}, DType::f32);
    const double loss = guarded.loss_sum();
    CHECK(std::isfinite(loss));
    CHECK(loss == plain.loss_sum());
    for (const auto& entry : plain.store.entries()) {
        const auto a = guarded.store.gradient(entry).span<float>();
        const auto b = plain.store.gradient(entry).span<float>();
        CHECK(std::equal(a.begin(), a.end(), b.begin()));
    }
}

TEST_CASE("a withheld modality has no influence on the answer", "[nets]") {
    const std::size_t withheld = GENERATE(0u, 1u);
    Fixture fixture(small_model(), {}, DType::f32, nets::Task::predict);
    for (std::size_t sample = 0; sample < 2; ++sample) {
        fixture.program.input("presence").as<float>()[2 * sample + withheld] = 0;
    }
    const auto answer = [&] {
        fixture.program.run_forward({});
        const auto view = fixture.program.output("probabilities").span<float>();
        return std::vector<float>(view.begin(), view.end());
    };
    const std::vector<float> first = answer();
    Fixture::fill(fixture.program.input(withheld == 0 ? "optical" : "height"), "other values");
    CHECK((answer() == first));
    Fixture::fill(fixture.program.input(withheld == 0 ? "height" : "optical"), "other values");
    CHECK((answer() != first));
}

TEST_CASE("probabilities are positive and sum to one at the labels' resolution", "[nets]") {
    Fixture fixture(small_model(), {}, DType::f32, nets::Task::predict);
    fixture.program.run_forward({});
    const TensorView probabilities = fixture.program.output("probabilities");
    CHECK(probabilities.shape() == Shape{2, 32, 32, 4});
    const auto values = probabilities.span<float>();
    for (std::size_t pixel = 0; pixel < values.size() / 4; ++pixel) {
        float sum = 0;
        for (std::size_t c = 0; c < 4; ++c) {
            CHECK(values[4 * pixel + c] >= 0);
            sum += values[4 * pixel + c];
        }
        CHECK(sum == Approx(1).margin(1e-5));
    }
}

TEST_CASE("frozen layers get no gradient and cost no activations", "[nets]") {
    const auto backend = ref::make_ref_backend();
    const auto plan_with = [&](graph::Trainable encoder) {
        graph::GraphBuilder build(device::Mode::training, DType::f32);
        graph::ValueId x = build.input("x", {DType::f32, Shape{1, 64, 64, 3}});
        build.set_trainable(encoder);
        for (int layer = 0; layer < 6; ++layer) {
            x = build.convolution("layer" + std::to_string(layer), x, 16, {.kernel = 3, .padding = 1});
            x = build.append("relu" + std::to_string(layer), ops::Activation{}, {x});
        }
        build.set_trainable(graph::Trainable::yes);
        x = build.convolution("head", x, 4, {.kernel = 1});
        const auto labels = build.input("labels", {DType::u8, Shape{1, 64, 64}});
        const auto weights = build.state("weights", {DType::f32, Shape{4}}, 1, graph::Saved::no);
        build.loss(build.append("loss", ops::CrossEntropy{}, {x, labels, weights}));
        return graph::plan_program(build.finish(), *backend);
    };
    const auto trained = plan_with(graph::Trainable::yes), frozen = plan_with(graph::Trainable::no);
    CHECK(2 * frozen.arena.lower_bound < trained.arena.lower_bound);
}
