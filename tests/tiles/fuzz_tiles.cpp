// What comes from outside around tiles: a manifest, a scene's record, a shard, a label raster with its
// palette, a configuration that remaps labels.
#include <fstream>
#include <optional>

#include "base/error.hpp"
#include "base/file.hpp"
#include "config/resolve.hpp"
#include "raster/describe.hpp"
#include "scene.hpp"
#include "support/fuzz_target.hpp"
#include "support/temporary_folder.hpp"
#include "tiles/label_coding.hpp"
#include "tiles/verify.hpp"

namespace terrane::test {

namespace {

namespace fs = std::filesystem;

/// What an input is taken for, by its first byte.
enum class FuzzForm : std::uint8_t {
    manifest,       ///< manifest.json of a store
    record,         ///< the record of a scene
    shard,          ///< its HDF5 file
    label_raster,   ///< a GeoTIFF of class indices, read with remapped ids
    color_raster,   ///< a GeoTIFF of colours, read as a palette
    configuration,  ///< TOML about labels and classes
};
constexpr std::uint8_t fuzz_forms = 6;

const char* const label_configuration = R"(
[label]
files = "label_*.tif"
scene = "label_(.*)\\.tif"
encoding = "palette"
ignore = [255, 0x000000]
undefined = "ignore"
remap = {7 = 2, 16711680 = 1}
[[class]]
id = 1
name = "one"
color = [255, 0, 0]
[[class]]
id = 2
name = "two"
color = [0, 255, 0]
)";

void overwrite(const fs::path& path, std::string_view content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    if (!file.flush()) throw std::runtime_error("can't write " + path.string());
}

/// A store of four tiles and the rasters it was built from, made once.
struct Store {
    TemporaryFolder folder;
    fs::path path = folder.path() / "tiles";
    config::Config config = scene_config(folder.path());
    std::optional<tiles::TileStore> whole;
    std::string manifest, record, shard, labels, colors;

    Store() {
        write_scene(folder.path(), "a", 500000, 32, 32);
        config.grid.tile = 16;
        tiles::build(config, path, {});
        whole.emplace(path);
        manifest = read_text_file(manifest_file());
        record = read_text_file(path / "scenes" / (scene().stem + ".json"));
        shard = read_text_file(whole->shard(0));
        labels = read_text_file(folder.path() / "label_a.tif");
        const fs::path color_file = folder.path() / "colors.tif";
        write_raster<std::uint8_t>(
            color_file, grid_at("EPSG:32633", 500000, 5400000, 1, 16, 16), 3,
            [](auto c, auto, auto b) { return static_cast<std::uint8_t>(b == c / 8 ? 255 : 0); });
        colors = read_text_file(color_file);
    }

    fs::path manifest_file() const { return path / "manifest.json"; }
    const tiles::SceneRecord& scene() const { return whole->manifest().scenes[0]; }
};

Store& store() {
    static Store the_store;
    return the_store;
}

FuzzVerdict read_all(const fs::path& folder) {
    const tiles::TileStore opened(folder);
    return tiles::verify(opened, {}).problems.empty() ? FuzzVerdict::read : FuzzVerdict::refused;
}

FuzzVerdict read_manifest(const std::string& content) {
    overwrite(store().manifest_file(), content);
    return read_all(store().path);
}

FuzzVerdict read_record(const std::string& content) {
    tiles::SceneRecord scene = store().scene();
    std::vector<tiles::TileRecord> records;
    tiles::scene_from_text(content, store().whole->manifest(), "a record", scene, records);
    return FuzzVerdict::read;
}

FuzzVerdict read_shard(const std::string& content) {
    overwrite(store().manifest_file(), store().manifest);
    overwrite(store().whole->shard(0), content);
    const FuzzVerdict verdict = read_all(store().path);
    overwrite(store().whole->shard(0), store().shard);
    return verdict;
}

FuzzVerdict read_raster(const std::string& content, const std::string& encoding) {
    const fs::path file = store().folder.path() / "mutated.tif";
    overwrite(file, content);
    const raster::RasterInfo info = raster::describe(file);
    // What a bomb claims to hold is refused elsewhere, by the memory it would take.
    if (info.grid.width * info.grid.height > 1 << 20) return FuzzVerdict::refused;
    config::Config config = store().config;
    config.label.encoding = encoding;
    config.label.remap = {{3, 2}, {0x0000ff, 1}};
    config.label.ignore = {255, 0};
    tiles::LabelCoding(config).check({file});
    return FuzzVerdict::read;
}

FuzzVerdict read_configuration(const std::string& content) {
    const config::Resolved resolved = config::resolve({{"fuzzed.toml", "/", content}}, {}, {});
    const tiles::LabelCoding coding(resolved.config);
    return coding.classes() > 0 ? FuzzVerdict::read : FuzzVerdict::refused;
}

std::string seed(FuzzForm form, const std::string& content) {
    return static_cast<char>(form) + content;
}

}  // namespace

FuzzVerdict fuzz_input(std::span<const std::uint8_t> input) {
    if (input.empty()) return FuzzVerdict::refused;
    const std::string content(input.begin() + 1, input.end());
    try {
        switch (static_cast<FuzzForm>(input[0] % fuzz_forms)) {
            case FuzzForm::manifest:
                return read_manifest(content);
            case FuzzForm::record:
                return read_record(content);
            case FuzzForm::shard:
                return read_shard(content);
            case FuzzForm::label_raster:
                return read_raster(content, "index");
            case FuzzForm::color_raster:
                return read_raster(content, "palette");
            case FuzzForm::configuration:
                return read_configuration(content);
        }
    } catch (const Error&) {
        if (static_cast<FuzzForm>(input[0] % fuzz_forms) == FuzzForm::shard)
            overwrite(store().whole->shard(0), store().shard);
    }
    return FuzzVerdict::refused;
}

std::vector<std::string> fuzz_seeds() {
    return {seed(FuzzForm::manifest, store().manifest),   seed(FuzzForm::record, store().record),
            seed(FuzzForm::shard, store().shard),         seed(FuzzForm::label_raster, store().labels),
            seed(FuzzForm::color_raster, store().colors), seed(FuzzForm::configuration, label_configuration)};
}

}  // namespace terrane::test
