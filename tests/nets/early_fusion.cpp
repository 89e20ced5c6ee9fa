#include "nets/early_fusion.hpp"

#include "base/philox.hpp"
#include "graph/program.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

nets::NetworkInputs three_modalities() {
    return {.modalities = {{"optical", 3, 1}, {"height", 1, 2}, {"sar", 2, 4}},
            .classes = 3,
            .batch = 2,
            .height = 8,
            .width = 8};
}

/// Early fusion alone, on random images.
class Fusion {
  public:
    explicit Fusion(const nets::NetworkInputs& inputs)
        : backend_(ref::make_ref_backend()),
          graph_(build(inputs)),
          store_(*backend_, graph_),
          program_(graph::plan_program(graph_, *backend_), *backend_, store_, alone_) {
        for (const auto& modality : inputs.modalities) {
            PhiloxStream random(1, stream_of(modality.name));
            for (float& value : image(modality.name)) value = static_cast<float>(random.normal());
        }
        for (float& value : program_.input("presence").span<float>()) value = 1;
    }

    std::span<float> image(const std::string& name) { return program_.input(name).span<float>(); }
    float& presence(std::size_t sample, std::size_t modality, std::size_t modalities) {
        return program_.input("presence").span<float>()[sample * modalities + modality];
    }
    TensorView run() {
        program_.run_forward({});
        return program_.output("fused");
    }

  private:
    static graph::Graph build(const nets::NetworkInputs& inputs) {
        graph::GraphBuilder build(device::Mode::inference, DType::f32);
        nets::NetworkValues values;
        for (const auto& modality : inputs.modalities) {
            const Shape shape{inputs.batch, inputs.height / modality.scale, inputs.width / modality.scale,
                              modality.bands};
            values.modalities.push_back(build.input(modality.name, {DType::f32, shape}));
        }
        const auto count = static_cast<std::int64_t>(inputs.modalities.size());
        values.presence = build.input("presence", {DType::f32, Shape{inputs.batch, 1, 1, count}});
        build.output("fused", nets::early_fusion(build, inputs, values));
        return build.finish();
    }

    std::unique_ptr<device::Backend> backend_;
    device::SingleRank alone_;
    graph::Graph graph_;
    graph::ParameterStore store_;
    graph::Program program_;
};

}  // namespace

TEST_CASE("early fusion joins every modality's bands at the reference grid", "[nets]") {
    Fusion fusion(three_modalities());
    const TensorView fused = fusion.run();
    REQUIRE(fused.shape() == Shape{2, 8, 8, 6});
    const float* const values = fused.as<float>();
    const auto optical = fusion.image("optical");
    for (std::size_t pixel = 0; pixel < 2 * 64; ++pixel) {
        for (std::size_t band = 0; band < 3; ++band) {
            CHECK(values[6 * pixel + band] == optical[3 * pixel + band]);
        }
    }
    // Corner pixels of a coarser modality repeat its corner pixel: sampling positions are clamped.
    CHECK(values[3] == fusion.image("height")[0]);
    CHECK(values[4] == fusion.image("sar")[0]);
    CHECK(values[5] == fusion.image("sar")[1]);
}

TEST_CASE("early fusion leaves a withheld modality out of the sample that lacks it, and only there",
          "[nets]") {
    Fusion fusion(three_modalities());
    const TensorView fused = fusion.run();
    const auto view = fused.span<float>();
    const std::vector<float> all(view.begin(), view.end());
    fusion.presence(1, 2, 3) = 0;
    fusion.run();
    const std::size_t half = all.size() / 2;
    CHECK(std::equal(view.begin(), view.begin() + static_cast<std::ptrdiff_t>(half), all.begin()));
    for (std::size_t i = half; i < all.size(); ++i) {
        CAPTURE(i);
        CHECK(view[i] == (i % 6 >= 4 ? 0.0f : all[i]));
    }
}

TEST_CASE("early fusion of one modality is that modality", "[nets]") {
    nets::NetworkInputs inputs = three_modalities();
    inputs.modalities.resize(1);
    graph::GraphBuilder build(device::Mode::inference, DType::f32);
    nets::NetworkValues values;
    values.modalities.push_back(build.input("optical", {DType::f32, Shape{2, 8, 8, 3}}));
    values.presence = build.input("presence", {DType::f32, Shape{2, 1, 1, 1}});
    CHECK(nets::early_fusion(build, inputs, values) == values.modalities[0]);
}
