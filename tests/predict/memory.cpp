#include "base/process_memory.hpp"
#include "predict/map_support.hpp"
#include "support/catch.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;

// In an executable of its own, so that the peak is this test's.
TEST_CASE("a scene of 4 000 squared stays within the budget, which is far below the scene's own size") {
    test::skip_under_sanitizers("their own memory counts into the peak");
    const test::TemporaryFolder folder;
    test::SyntheticScene scene(4000, 4000);
    const auto self = comm::self_communicator();
    predict::MapProducts products = test::products_for(folder.path() / "map.tif");
    products.quicklook_edge = 256;
    products.confidence = true;
    test::PlaceClassifier classifier(128, 4);
    predict::SceneSettings settings;
    settings.process_bytes = process_memory().resident;
    settings.network_bytes = 4 * 128 * 128 * 3 * sizeof(float);
    settings.memory_budget = settings.process_bytes + (std::size_t{100} << 20);
    const predict::ScenePlan plan = plan_scene(scene, classifier, products, settings, *self);
    const predict::SceneReport report = predict_scene(scene, test::scene_grid(scene), classifier, products,
                                                      plan, *self, [](const predict::RankProgress&) {});
    // 16 Mpx x (3 + 1 bytes of input + 3 x 4 bytes of probabilities) are 256 MB.
    INFO("planned " << plan.blocks.memory_text() << "; peak " << (report.peak_bytes >> 20) << " MB");
    CHECK(report.peak_bytes <= static_cast<std::int64_t>(settings.memory_budget));
    CHECK(report.peak_bytes < std::int64_t{256} << 20);
}
