#include "comm/launch.hpp"
#include "comm/world.hpp"
#include "cpu/backend.hpp"
#include "predict/small_network.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;
using test::SyntheticScene;

namespace {

comm::World& world() {
    static comm::World instance(comm::detect_launch(comm::environment_variable));
    return instance;
}

constexpr std::size_t megabyte = std::size_t{1} << 20;

}  // namespace

TEST_CASE("maps, confidences, scores and pictures of all ranks have the bytes of one rank's") {
    comm::Communicator& all = world().communicator();
    const test::TemporaryFolder own;
    std::string shared = own.path().string();
    all.broadcast(shared, 0);
    const std::filesystem::path folder = shared;
    SyntheticScene scene(1111, 903);

    predict::MapProducts together = test::products_for(folder / "together.tif");
    together.confidence = together.entropy = together.scores = true;
    together.smallest_region = 8;
    together.quicklook_edge = 300;
    const predict::SceneReport report = test::predict_synthetic(scene, together, 96, 4, 200 * megabyte, all);
    CHECK(report.windows > 0);
    CHECK(report.pixels == 1111 * 903);

    if (all.rank() == 0) {
        predict::MapProducts alone = together;
        alone.map = folder / "alone.tif";
        const auto self = comm::self_communicator();
        // Another batch and so little memory that the scene is cut into narrow blocks.
        const auto narrow = test::predict_synthetic(scene, alone, 96, 3, 115 * megabyte, *self);
        CHECK(narrow.windows > 0);
        CHECK(test::bytes_of(together.map).size() > 1000);
        for (std::size_t i = 0; i < together.files().size(); ++i) {
            INFO(together.files()[i].string());
            CHECK(test::bytes_of(together.files()[i]) == test::bytes_of(alone.files()[i]));
        }
        // Five products each, and the class names of both maps; no temporaries.
        const auto files = std::distance(std::filesystem::directory_iterator(folder), {});
        CHECK(files == 2 * 5 + 2);
    }
    all.barrier();
}

TEST_CASE("a network's map has the bytes of one rank's, for every batch; noise depends on the window alone") {
    const auto design_of = GENERATE(test::small_design, test::small_diffusion_design);
    comm::Communicator& all = world().communicator();
    const test::TemporaryFolder own;
    std::string shared = own.path().string();
    all.broadcast(shared, 0);
    const std::filesystem::path folder = shared;
    SyntheticScene scene(201, 233);
    const auto backend = cpu::make_cpu_backend();
    const auto predict = [&](const std::filesystem::path& map, std::int64_t batch,
                             comm::Communicator& communicator) {
        predict::NetworkClassifier network(design_of(64, batch), *backend);
        test::fill(network, 5);
        network.bind(scene);
        predict::MapProducts products = test::products_for(map);
        products.scores = true;
        predict::SceneSettings settings;
        settings.memory_budget = 2000 * megabyte;
        settings.network_bytes = network.bytes();
        const auto plan = plan_scene(scene, network, products, settings, communicator);
        predict_scene(scene, test::scene_grid(scene), network, products, plan, communicator,
                      [](const predict::RankProgress&) {});
        return products;
    };
    const predict::MapProducts together = predict(folder / "together.tif", 4, all);
    if (all.rank() == 0) {
        const auto self = comm::self_communicator();
        const predict::MapProducts alone = predict(folder / "alone.tif", 4, *self);
        const predict::MapProducts single = predict(folder / "single.tif", 1, *self);
        for (std::size_t i = 0; i < together.files().size(); ++i) {
            CHECK(test::bytes_of(together.files()[i]) == test::bytes_of(alone.files()[i]));
            CHECK(test::bytes_of(together.files()[i]) == test::bytes_of(single.files()[i]));
        }
    }
    all.barrier();
}
