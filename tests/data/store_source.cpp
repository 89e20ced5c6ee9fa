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

namespace {

/// The built scene with scribbles on lines and pseudo-labels in stripes.
struct WeakScene : BuiltScene {
    WeakScene() {
        const raster::Grid grid = test::grid_at("EPSG:32633", 500000, 5400000, 1, 256, 192);
        const auto scribble = folder.path() / "scribble.tif", pseudo = folder.path() / "pseudo.tif";
        test::write_raster<std::uint8_t>(
            scribble, grid, 1,
            [](auto c, auto, auto) { return static_cast<std::uint8_t>(c % 16 == 3 ? 1 + c / 16 % 3 : 0); },
            0.0);
        test::write_raster<std::uint8_t>(
            pseudo, grid, 1, [](auto, auto r, auto) { return static_cast<std::uint8_t>(1 + r / 20 % 2); },
            0.0);
        config.scribble.files = {scribble.string()};
        config.pseudo.files = {pseudo.string()};
        tiles::build(config, folder.path() / "tiles", {});
    }

    data::StoreSource source(const tiles::TileStore& store, std::vector<config::LossTerm> terms) {
        config.loss.terms = std::move(terms);
        return {store, tiles::Split::train, config, data::StoreSource::Maps::of_loss};
    }
};

config::LossTerm term(const std::string& name, const std::string& target) {
    config::LossTerm result;
    result.name = name;
    result.target = target;
    return result;
}

}  // namespace

TEST_CASE("a source reads the maps that the loss looks at, and counts the classes that are learned from") {
    WeakScene built;
    const tiles::TileStore store(built.folder.path() / "tiles");
    data::StoreSource labels = built.source(store, {term("cross_entropy", "label")});
    CHECK(labels.layout().maps.empty());
    data::StoreSource weak =
        built.source(store, {term("distance_entropy", "pseudo"), term("cross_entropy", "scribble")});
    REQUIRE(weak.layout().maps == std::vector<std::string>{"scribble", "pseudo_distance"});
    data::StoreSource both =
        built.source(store, {term("cross_entropy", "scribble"), term("cross_entropy", "label")});
    data::StoreSource rectified =
        built.source(store, {term("rectification", "scribble"), term("cross_entropy", "pseudo")});

    data::TileMemory memory(weak.layout());
    tiles::TileReader reader(store);
    tiles::TileMemory stored(store.manifest());
    for (std::int64_t tile = 0; tile < weak.size(); ++tile) {
        weak.read(tile, memory);
        const std::int64_t index = store.tiles_of(tiles::Split::train)[static_cast<std::size_t>(tile)];
        reader.read(index, stored.buffers());
        const auto same = [](const TensorView& view, const std::vector<std::uint8_t>& values) {
            return std::equal(values.begin(), values.end(), view.as<std::uint8_t>());
        };
        CHECK(same(memory.labels, stored.label));
        CHECK(same(memory.maps[0], stored.maps[0]));
        CHECK(same(memory.maps[1], stored.maps[3]));
        const tiles::TileRecord& record = store.tile(index);
        const auto counts = [&](const data::StoreSource& source) {
            const auto pixels = source.class_pixels(tile);
            return std::vector<std::int64_t>(pixels.begin(), pixels.end());
        };
        CHECK(counts(labels) == record.class_pixels);
        CHECK(counts(weak) == record.maps[0].class_pixels);
        CHECK(counts(both) == record.class_pixels);
        CHECK(counts(rectified) == record.maps[1].class_pixels);
        CHECK(record.maps[0].class_pixels != record.class_pixels);
    }
    // Validation reads no maps, whatever the loss.
    CHECK(data::StoreSource(store, tiles::Split::val, built.config).layout().maps.empty());
}

TEST_CASE("a store without the maps of the loss is refused with what to do") {
    BuiltScene built;
    const tiles::TileStore store(built.folder.path() / "tiles");
    built.config.loss.terms = {term("distance_entropy", "pseudo")};
    const Error error = test::error_of([&] {
        data::StoreSource source(store, tiles::Split::train, built.config, data::StoreSource::Maps::of_loss);
    });
    CHECK(error.number() == 405);
    CHECK_THAT(error.message(), test::contains("pseudo_distance"));
    CHECK_THAT(error.fix(), test::contains("[pseudo]"));
}
