#include "tiles/shard.hpp"

#include "base/error.hpp"
#include "tiles/hdf5_output.hpp"

namespace terrane::tiles {

namespace {

hid_t memory_type(DType dtype) {
    switch (dtype) {
        case DType::u8:
            return H5T_STD_U8LE;
        case DType::u16:
            return H5T_STD_U16LE;
        case DType::i16:
            return H5T_STD_I16LE;
        case DType::u32:
            return H5T_STD_U32LE;
        case DType::i32:
            return H5T_STD_I32LE;
        case DType::f32:
            return H5T_IEEE_F32LE;
        case DType::i8:
        case DType::i64:
        case DType::f64:
        case DType::f16:
        case DType::bf16:
            break;
    }
    throw InternalError(fmt::format("tiles hold no {}", name_of(dtype)));
}

/// Sizes of a dataset: [tiles, edge, edge] and, with bands, a fourth.
std::vector<hsize_t> sizes_of(std::int64_t tiles, std::int64_t edge, std::int64_t bands) {
    std::vector<hsize_t> sizes{static_cast<hsize_t>(tiles), static_cast<hsize_t>(edge),
                               static_cast<hsize_t>(edge)};
    if (bands > 0) sizes.push_back(static_cast<hsize_t>(bands));
    return sizes;
}

}  // namespace

struct ShardWriter::State {
    State(std::filesystem::path path, std::int64_t count)
        : output(std::move(path),
                 "Free some space and run the same command again: finished scenes are kept."),
          tiles(count) {}

    Hdf5Output output;
    std::int64_t tiles;
    std::vector<Hdf5Output::Dataset> values{}, masks{}, maps{};
    Hdf5Output::Dataset label = 0;

    Hdf5Output::Dataset create_dataset(const std::string& name, DType dtype, std::int64_t edge,
                                       std::int64_t bands) {
        return output.create_dataset(name, memory_type(dtype), sizes_of(tiles, edge, bands));
    }
    std::vector<DatasetPlace> places_of(const std::vector<Hdf5Output::Dataset>& datasets) const {
        std::vector<DatasetPlace> places;
        for (const Hdf5Output::Dataset dataset : datasets) places.push_back(output.place_of(dataset));
        return places;
    }
};

ShardWriter::ShardWriter(std::filesystem::path path, const Manifest& layout, std::int64_t tiles)
    : state_(std::make_unique<State>(std::move(path), tiles)) {
    State& state = *state_;
    const Handle grouping(H5Pcreate(H5P_GROUP_CREATE), &H5Pclose);
    for (const StoredModality& modality : layout.modalities) {
        const std::int64_t edge = layout.tile / modality.scale;
        const bool untimed = grouping.valid() && H5Pset_obj_track_times(grouping.get(), false) >= 0;
        const Handle group(untimed ? H5Gcreate2(state.output.file(), modality.name.c_str(), H5P_DEFAULT,
                                                grouping.get(), H5P_DEFAULT)
                                   : H5I_INVALID_HID,
                           &H5Gclose);
        if (!group.valid()) throw state.output.failure("written");
        state.values.push_back(
            state.create_dataset(modality.name + "/values", modality.dtype, edge, modality.bands));
        state.masks.push_back(state.create_dataset(modality.name + "/mask", DType::u8, edge, 0));
    }
    state.label = state.create_dataset("label", DType::u8, layout.tile, 0);
    for (const std::string& map : layout.maps)
        state.maps.push_back(state.create_dataset(map, DType::u8, layout.tile, 0));
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::write_modality(std::int64_t tile, std::size_t modality, std::span<const std::byte> values,
                                 std::span<const std::uint8_t> mask) {
    state_->output.write_row(state_->values[modality], tile, values);
    state_->output.write_row(state_->masks[modality], tile, std::as_bytes(mask));
}

void ShardWriter::write_label(std::int64_t tile, std::span<const std::uint8_t> label) {
    state_->output.write_row(state_->label, tile, std::as_bytes(label));
}

void ShardWriter::write_map(std::int64_t tile, std::size_t map, std::span<const std::uint8_t> values) {
    state_->output.write_row(state_->maps[map], tile, std::as_bytes(values));
}

void ShardWriter::finish(SceneRecord& scene) {
    State& state = *state_;
    state.output.flush();
    scene.values = state.places_of(state.values);
    scene.masks = state.places_of(state.masks);
    scene.label = state.output.place_of(state.label);
    scene.maps = state.places_of(state.maps);
    state.output.publish();
}

std::string check_shard(const std::filesystem::path& path, const Manifest& layout, const SceneRecord& scene) {
    quiet_hdf5();
    const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
    if (!file.valid()) return fmt::format("{} is no readable HDF5 file: {}", path.string(), hdf5_message());
    const auto check = [&](const std::string& name, DType dtype, std::int64_t edge, std::int64_t bands,
                           const DatasetPlace& expected) -> std::string {
        const Handle dataset(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), &H5Dclose);
        if (!dataset.valid()) return fmt::format("{} lacks dataset {}", path.string(), name);
        const Handle type(H5Dget_type(dataset.get()), &H5Tclose);
        const Handle space(H5Dget_space(dataset.get()), &H5Sclose);
        const std::vector<hsize_t> sizes = sizes_of(scene.tiles, edge, bands);
        std::vector<hsize_t> found(sizes.size());
        if (H5Tequal(type.get(), memory_type(dtype)) <= 0 ||
            H5Sget_simple_extent_ndims(space.get()) != static_cast<int>(sizes.size()) ||
            H5Sget_simple_extent_dims(space.get(), found.data(), nullptr) < 0 || found != sizes) {
            return fmt::format("dataset {} of {} has another type or size than its record says", name,
                               path.string());
        }
        DatasetPlace place;
        if (!chunk_places(dataset.get(), scene.tiles, sizes.size(), place) ||
            place.offset != expected.offset || place.bytes != expected.bytes) {
            return fmt::format("dataset {} of {} lies elsewhere than its record says", name, path.string());
        }
        return {};
    };
    for (std::size_t m = 0; m < layout.modalities.size(); ++m) {
        const StoredModality& modality = layout.modalities[m];
        const std::int64_t edge = layout.tile / modality.scale;
        std::string wrong =
            check(modality.name + "/values", modality.dtype, edge, modality.bands, scene.values[m]);
        if (wrong.empty()) wrong = check(modality.name + "/mask", DType::u8, edge, 0, scene.masks[m]);
        if (!wrong.empty()) return wrong;
    }
    for (std::size_t m = 0; m < layout.maps.size(); ++m) {
        std::string wrong = check(layout.maps[m], DType::u8, layout.tile, 0, scene.maps[m]);
        if (!wrong.empty()) return wrong;
    }
    return check("label", DType::u8, layout.tile, 0, scene.label);
}

}  // namespace terrane::tiles
