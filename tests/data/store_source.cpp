#include "data/store_source.hpp"

#include <cmath>
#include <fstream>

#include "data/feeder.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/scene.hpp"

using namespace terrane;

namespace {

struct BuiltScene {
    test::TemporaryFolder folder;
    config::Config config;

    BuiltScene() {
        test::write_scene(folder.path(), "a", 500000);
        config = test::scene_config(folder.path());
        for (auto* files : {&config.modalities[0].files, &config.modalities[1].files, &config.label.files}) {
            for (std::string& file : *files) file = (folder.path() / file).string();
        }
        tiles::build(config, folder.path() / "tiles", {});
    }
};

}  // namespace

TEST_CASE("training tiles of a store arrive normalised: mean 0 and deviation 1 in every band") {
    BuiltScene built;
    const tiles::TileStore store(built.folder.path() / "tiles");
    data::StoreSource source(store, tiles::Split::train, built.config);
    REQUIRE(source.size() > 3);
    const std::int64_t n = source.size();
    const auto backend = ref::make_ref_backend();
    std::vector<float> optical(static_cast<std::size_t>(n * 32 * 32 * 3)),
        height(static_cast<std::size_t>(n * 16 * 16));
    std::vector<float> presence(static_cast<std::size_t>(2 * n));
    std::vector<std::uint8_t> labels(static_cast<std::size_t>(n * 32 * 32));
    const data::InputSlots slots{
        {{reinterpret_cast<std::byte*>(optical.data()), {DType::f32, {n, 32, 32, 3}}},
         {reinterpret_cast<std::byte*>(height.data()), {DType::f32, {n, 16, 16, 1}}}},
        {reinterpret_cast<std::byte*>(presence.data()), {DType::f32, {n, 2}}},
        {reinterpret_cast<std::byte*>(labels.data()), {DType::u8, {n, 32, 32}}}};
    const data::EvaluationOrder order(source.layout(), n, n, 0, 1);
    data::Feeder feeder(source, order, n, 0, 1, backend->sample_kernels());
    feeder.next(slots);

    double mean = 0, square = 0;
    for (std::size_t i = 0; i < optical.size(); i += 3) {
        mean += optical[i];
        square += double{optical[i]} * optical[i];
    }
    const double pixels = static_cast<double>(optical.size()) / 3;
    CHECK(mean / pixels == Approx(0).margin(1e-3));
    CHECK(square / pixels == Approx(1).margin(1e-2));
    CHECK(presence[0] == 1);

    const std::vector<std::int64_t> totals = data::total_class_pixels(source);
    std::vector<std::int64_t> counted(3, 0);
    for (const std::uint8_t label : labels) {
        if (label != 255) ++counted.at(label);
    }
    CHECK(counted == totals);
}

TEST_CASE("a flipped byte in a shard ends the feeding with the tile and the file") {
    BuiltScene built;
    const tiles::TileStore store(built.folder.path() / "tiles");
    data::StoreSource source(store, tiles::Split::train, built.config);
    const tiles::TileRecord& first = store.tile(store.tiles_of(tiles::Split::train)[0]);
    const tiles::DatasetPlace& place = store.manifest().scenes[first.scene].values[0];
    const std::filesystem::path shard = store.shard(first.scene);
    const auto at =
        static_cast<std::streamoff>(place.offset + static_cast<std::uint64_t>(first.index) * place.bytes + 5);
    std::fstream file(shard, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const int byte = file.get();
    file.seekp(at);
    file.put(static_cast<char>(byte ^ 4));
    file.close();

    data::TileMemory memory(source.layout());
    CHECK_THROWS_WITH(source.read(0, memory), test::contains(shard.filename().string()));
    CHECK_NOTHROW(source.read(1, memory));
}

TEST_CASE("weights bring their own normalisation, and only for the modalities they know") {
    BuiltScene built;
    const tiles::TileStore store(built.folder.path() / "tiles");
    data::StoreSource source(store, tiles::Split::val, built.config);
    std::vector<data::ModalityLayout> modalities = source.layout().modalities;
    modalities[0].normalisation[1].mean = 77;
    source.normalise_as(modalities);
    CHECK(source.layout().modalities[0].normalisation[1].mean == 77);
    modalities[1].scale = 4;
    CHECK_THROWS_WITH(source.normalise_as(modalities), test::contains("height[1] at scale 4"));
}
