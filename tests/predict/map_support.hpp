#pragma once

#include <fstream>
#include <iterator>

#include "predict/scene_predictor.hpp"
#include "predict/synthetic_scene.hpp"

namespace terrane::test {

inline std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

inline predict::MapProducts products_for(const std::filesystem::path& map) {
    predict::MapProducts products;
    products.map = map;
    products.classes = {{7, "building", {200, 0, 0}}, {2, "tree", {0, 200, 0}}, {0, "water", {0, 0, 200}}};
    return products;
}

inline raster::Grid scene_grid(const predict::SceneSource& scene) {
    return {raster::parse_crs("EPSG:25832", "test"),
            {500000.25, 0.5, 0, 5300000.75, 0, -0.5},
            scene.width(),
            scene.height()};
}

/// Predicts with the stand-in network.
inline predict::SceneReport predict_synthetic(predict::SceneSource& scene,
                                              const predict::MapProducts& products, std::int64_t window,
                                              std::int64_t batch, std::size_t budget,
                                              comm::Communicator& communicator) {
    PlaceClassifier classifier(window, batch);
    predict::SceneSettings settings;
    settings.memory_budget = budget;
    const predict::ScenePlan plan = plan_scene(scene, classifier, products, settings, communicator);
    return predict_scene(scene, scene_grid(scene), classifier, products, plan, communicator,
                         [](const predict::RankProgress&) {});
}

}  // namespace terrane::test
