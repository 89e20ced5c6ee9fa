#include "nets/pkdiff.hpp"

#include <map>
#include <set>

#include "nets/diffusion_graphs.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

nets::NetworkInputs published_inputs(std::int64_t size) {
    return {.modalities = {{"optical", 3, 1}, {"dsm", 1, 1}},
            .classes = 6,
            .batch = 2,
            .height = size,
            .width = size};
}

graph::Graph published(const config::Diffusion& diffusion, std::int64_t size = 64) {
    config::Model model;
    model.name = "pkdiff";
    model.diffusion = diffusion;
    return nets::build_network(model, {}, published_inputs(size), nets::Task::train, DType::f32);
}

/// Parameters by the first part of their names, of down, up and cadef_blocks by the first two.
std::map<std::string, std::int64_t> counts(const graph::Graph& network) {
    std::map<std::string, std::int64_t> result;
    for (const graph::Value& value : network.values) {
        if (value.kind != graph::ValueKind::parameter) continue;
        std::size_t dot = value.name.find('.');
        const std::string first = value.name.substr(0, dot);
        if (first == "down" || first == "up" || first == "cadef_blocks") dot = value.name.find('.', dot + 1);
        result[value.name.substr(0, dot)] += value.spec.shape.elements();
        result["all"] += value.spec.shape.elements();
    }
    return result;
}

}  // namespace

TEST_CASE("pkdiff has exactly the published numbers of parameters, part by part", "[nets]") {
    const auto found = counts(published({}));
    CHECK(found == std::map<std::string, std::int64_t>{{"time_mlp", 20'736},
                                                       {"image_initial", 54'208},
                                                       {"seg_initial", 54'848},
                                                       {"down.0", 92'864},
                                                       {"down.1", 329'088},
                                                       {"down.2", 1'231'616},
                                                       {"cadef_blocks.0", 25'386},
                                                       {"cadef_blocks.1", 41'802},
                                                       {"cadef_blocks.2", 74'624},
                                                       {"up.0", 3'183'744},
                                                       {"up.1", 1'002'048},
                                                       {"up.2", 271'648},
                                                       {"final", 49'798},
                                                       {"all", 6'432'410}});
    CHECK(counts(published({.cadef = "off"})).at("all") == 6'290'598);
}

TEST_CASE("pkdiff's parameters have the published names", "[nets]") {
    std::set<std::string> names;
    for (const graph::Value& value : published({}).values) {
        if (value.kind == graph::ValueKind::parameter) names.insert(value.name);
    }
    CHECK(names.size() == 298);
    for (const char* name :
         {"time_mlp.1.weight", "time_mlp.3.bias", "image_initial.2.block1.proj.weight",
          "seg_initial.0.mlp.1.weight", "down.0.0.block2.norm.bias", "down.1.2.fn.norm.weight",
          "down.2.2.fn.fn.to_qkv.weight", "down.0.2.fn.fn.to_out.0.bias", "down.0.2.fn.fn.to_out.1.weight",
          "down.1.3.weight", "up.0.0.res_conv.bias", "up.2.3.weight", "cadef_blocks.0.to_q.weight",
          "cadef_blocks.1.to_kv.weight", "cadef_blocks.2.to_out.bias", "cadef_blocks.2.hape.mlp.weight",
          "cadef_blocks.0.alpha_gen.0.weight", "final.2.weight"}) {
        INFO(name);
        CHECK(names.count(name) == 1);
    }
}

TEST_CASE("guided attention finds the height by its name", "[nets]") {
    const auto band = [](const config::Diffusion& diffusion, std::vector<nets::ModalityInput> modalities) {
        return nets::height_band_of(diffusion, {.modalities = std::move(modalities)});
    };
    CHECK(band({}, {{"optical", 3, 1}, {"dsm", 1, 1}}) == 3);
    CHECK(band({}, {{"optical", 4, 1}, {"sar", 2, 1}, {"ndsm", 1, 1}}) == 6);
    CHECK(band({}, {{"height", 1, 1}, {"optical", 4, 1}}) == 0);
    CHECK(band({.height = "lidar"}, {{"dsm", 1, 1}, {"lidar", 2, 1}}) == 1);
    CHECK(band({.height = "ndsm"}, {{"dsm", 1, 1}, {"ndsm", 1, 1}}) == 1);
    CHECK_FALSE(band({.cadef = "off"}, {{"optical", 3, 1}}).has_value());
    CHECK(counts(published({.cadef = "off"})).count("cadef_blocks.0") == 0);
    CHECK(counts(published({.cadef = "dual"})).count("height_initial") == 1);
}

TEST_CASE("guided attention without a height is an error that names the choices", "[nets]") {
    for (const char* height : {"dsm", "lidar"}) {
        try {
            nets::height_band_of({.height = height}, {.modalities = {{"optical", 3, 1}, {"sar", 2, 1}}});
            FAIL("no error");
        } catch (const Error& error) {
            CHECK(error.number() == 548);
            CHECK_THAT(std::string(error.what()), test::contains("optical, sar"));
        }
    }
}

TEST_CASE("with dsm_norm = tile every level's heights are scaled by the whole tile's range", "[nets]") {
    const auto ranges = [](const char* norm) {
        config::Model model;
        model.diffusion.dsm_norm = norm;
        const nets::NetworkInputs inputs = published_inputs(256);
        const nets::DiffusionGraphs graphs{model, inputs,
                                           nets::diffusion_scales(model.diffusion, 256, 256, 256),
                                           nets::Task::train, DType::f32};
        const graph::Graph prepare = graphs.prepare();
        std::vector<Shape> found;
        for (const graph::Node& node : prepare.nodes) {
            if (std::holds_alternative<ops::HeightEncoding>(node.op))
                found.push_back(prepare.value(node.inputs.back()).spec.shape);
        }
        return found;
    };
    CHECK(ranges("tile") == std::vector<Shape>(9, Shape{2, 256, 256, 1}));
    const std::vector<Shape> own = ranges("patch");
    CHECK(own.size() == 9);
    CHECK(own.front() == Shape{2, 64, 64, 1});
    CHECK(own[6] == Shape{8, 128, 128, 1});  // four patches of each sample
}

TEST_CASE("guided attention sees at most 4096 tokens", "[nets]") {
    // Per level at 64, 128 and 512 pixels: 256, 1024 and 4096 tokens.
    for (const auto& [size, tokens] : {std::pair{64, 256}, std::pair{128, 1024}, std::pair{512, 4096}}) {
        for (int level = 0; level < nets::pkdiff_levels; ++level) {
            const std::int64_t edge = size >> level;
            const std::int64_t pooled = edge / nets::cadef_shrink(level, edge, edge);
            INFO("level " << level << " at " << size);
            CHECK(pooled * pooled == tokens);
        }
    }
}

TEST_CASE("the time runs in equal steps from 1 towards 0", "[nets]") {
    const std::vector<float> times = nets::diffusion_times({});
    REQUIRE(times.size() == 75);
    CHECK(times.front() == 1.0f);
    CHECK(times[4] == Approx(1 - 4.0 / 75));
    CHECK(times.back() == Approx(1.0 / 75));
    CHECK(nets::diffusion_times({.preset = "fast"}).size() == 12);
    CHECK(nets::diffusion_times({.preset = "fast", .timesteps = 7, .scales = 2}).size() == 14);
}

TEST_CASE("scales halve, and maps larger than training saw are cut", "[nets]") {
    const auto edges = [](const config::Diffusion& diffusion, std::int64_t size, std::int64_t crop) {
        std::vector<std::pair<std::int64_t, std::int64_t>> result;
        for (const auto& scale : nets::diffusion_scales(diffusion, size, size, crop)) {
            result.emplace_back(scale.edge, scale.patches());
        }
        return result;
    };
    using Edges = std::vector<std::pair<std::int64_t, std::int64_t>>;
    CHECK(edges({}, 256, 256) == Edges{{64, 1}, {128, 1}, {128, 4}});
    CHECK(edges({.max_patch = 256}, 256, 256) == Edges{{64, 1}, {128, 1}, {256, 1}});
    CHECK(edges({}, 256, 128) == Edges{{32, 4}, {64, 4}, {128, 4}});
    CHECK(edges({.scales = 2}, 64, 64) == Edges{{32, 1}, {64, 1}});
    CHECK_THROWS_AS(edges({}, 100, 100), Error);
}
