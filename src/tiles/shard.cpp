#include "tiles/shard.hpp"

#include <unistd.h>

#include <array>

#include "base/error.hpp"
#include "base/file.hpp"
#include "tiles/hdf5_handle.hpp"

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
    std::filesystem::path path;
    std::filesystem::path temporary;
    std::int64_t tiles = 0;
    Handle file;
    std::vector<Handle> values, masks, maps;
    Handle label;
    bool finished = false;

    ~State() {
        values.clear();
        masks.clear();
        maps.clear();
        label.close();
        file.close();
        if (!finished) {
            std::error_code ignored;
            std::filesystem::remove(temporary, ignored);
        }
    }

    Error failure(const char* what, ExitCode code = ExitCode::io_error) const {
        return Error(code, 420, fmt::format("{} can't be {}: {}.", path.string(), what, hdf5_message()),
                     "Free some space and run the same command again: finished scenes are kept.");
    }

    Handle create_dataset(const std::string& name, DType dtype, std::int64_t edge, std::int64_t bands) {
        Handle dataset =
            create_chunked_dataset(file.get(), name, memory_type(dtype), sizes_of(tiles, edge, bands));
        if (!dataset.valid()) throw failure("written");
        return dataset;
    }

    void write(const Handle& dataset, std::int64_t tile, std::span<const std::byte> bytes) {
        const std::array<hsize_t, 4> at{static_cast<hsize_t>(tile), 0, 0, 0};
        // Every write is checked: on a full disk H5Fclose alone reports success.
        if (H5Dwrite_chunk(dataset.get(), H5P_DEFAULT, 0, at.data(), bytes.size(), bytes.data()) < 0)
            throw failure("written");
    }
};

ShardWriter::ShardWriter(std::filesystem::path path, const Manifest& layout, std::int64_t tiles)
    : state_(std::make_unique<State>()) {
    quiet_hdf5();
    State& state = *state_;
    state.path = std::move(path);
    state.temporary = state.path;
    state.temporary += fmt::format(".{}.tmp", ::getpid());
    state.tiles = tiles;
    state.file = create_hdf5_file(state.temporary);
    if (!state.file.valid()) throw state.failure("created", ExitCode::cannot_create);
    const Handle grouping(H5Pcreate(H5P_GROUP_CREATE), &H5Pclose);
    for (const StoredModality& modality : layout.modalities) {
        const std::int64_t edge = layout.tile / modality.scale;
        const bool untimed = grouping.valid() && H5Pset_obj_track_times(grouping.get(), false) >= 0;
        const Handle group(untimed ? H5Gcreate2(state.file.get(), modality.name.c_str(), H5P_DEFAULT,
                                                grouping.get(), H5P_DEFAULT)
                                   : H5I_INVALID_HID,
                           &H5Gclose);
        if (!group.valid()) throw state.failure("written");
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
    state_->write(state_->values[modality], tile, values);
    state_->write(state_->masks[modality], tile, std::as_bytes(mask));
}

void ShardWriter::write_label(std::int64_t tile, std::span<const std::uint8_t> label) {
    state_->write(state_->label, tile, std::as_bytes(label));
}

void ShardWriter::write_map(std::int64_t tile, std::size_t map, std::span<const std::uint8_t> values) {
    state_->write(state_->maps[map], tile, std::as_bytes(values));
}

void ShardWriter::finish(SceneRecord& scene) {
    State& state = *state_;
    if (H5Fflush(state.file.get(), H5F_SCOPE_GLOBAL) < 0) throw state.failure("written");
    scene.values.resize(state.values.size());
    scene.masks.resize(state.masks.size());
    bool good = chunk_places(state.label.get(), state.tiles, 3, scene.label);
    for (std::size_t m = 0; m < state.values.size(); ++m) {
        good = good && chunk_places(state.values[m].get(), state.tiles, 4, scene.values[m]) &&
               chunk_places(state.masks[m].get(), state.tiles, 3, scene.masks[m]);
    }
    scene.maps.resize(state.maps.size());
    for (std::size_t m = 0; m < state.maps.size(); ++m)
        good = good && chunk_places(state.maps[m].get(), state.tiles, 3, scene.maps[m]);
    TERRANE_ASSERT(good, "HDF5 scattered the chunks of {}", state.path.string());
    bool closed = state.label.close();
    for (std::size_t m = 0; m < state.values.size(); ++m)
        closed = state.values[m].close() && state.masks[m].close() && closed;
    for (Handle& map : state.maps) closed = map.close() && closed;
    closed = state.file.close() && closed;
    if (!closed) throw state.failure("closed");
    sync_file(state.temporary);
    publish_by_rename(state.temporary, state.path);
    state.finished = true;
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
