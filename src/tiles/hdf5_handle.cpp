#include "tiles/hdf5_handle.hpp"

#include <array>

#include "base/error.hpp"

namespace terrane::tiles {

namespace {

extern "C" herr_t keep_last_message(unsigned, const H5E_error2_t* entry, void* text) {
    if (entry->desc != nullptr) *static_cast<std::string*>(text) = entry->desc;
    return 0;
}

}  // namespace

std::string hdf5_message() {
    std::string text = "HDF5 gives no reason";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, &keep_last_message, &text);
    return text;
}

void quiet_hdf5() {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Handle create_hdf5_file(const std::filesystem::path& path) {
    const Handle access(H5Pcreate(H5P_FILE_ACCESS), &H5Pclose);
    if (!access.valid() || H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST) < 0)
        throw InternalError("HDF5 offers no file access list");
    const Handle creation(H5Pcreate(H5P_FILE_CREATE), &H5Pclose);
    if (!creation.valid() || H5Pset_obj_track_times(creation.get(), false) < 0)
        throw InternalError("HDF5 offers no file creation list");
    return Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), &H5Fclose);
}

Handle create_chunked_dataset(hid_t file, const std::string& name, hid_t type,
                              const std::vector<hsize_t>& sizes) {
    std::vector<hsize_t> chunk = sizes;
    chunk[0] = 1;
    const int rank = static_cast<int>(sizes.size());
    const Handle space(H5Screate_simple(rank, sizes.data(), nullptr), &H5Sclose);
    const Handle creation(H5Pcreate(H5P_DATASET_CREATE), &H5Pclose);
    const bool good = space.valid() && creation.valid() &&
                      H5Pset_obj_track_times(creation.get(), false) >= 0 &&
                      H5Pset_chunk(creation.get(), rank, chunk.data()) >= 0 &&
                      H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY) >= 0 &&
                      H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER) >= 0;
    if (!good) return {};
    return Handle(H5Dcreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                  &H5Dclose);
}

bool chunk_places(hid_t dataset, std::int64_t rows, std::size_t rank, DatasetPlace& place) {
    for (std::int64_t i = 0; i < rows; ++i) {
        std::array<hsize_t, 4> at{static_cast<hsize_t>(i), 0, 0, 0};
        unsigned filters = 0;
        haddr_t address = HADDR_UNDEF;
        hsize_t bytes = 0;
        if (rank > at.size() ||
            H5Dget_chunk_info_by_coord(dataset, at.data(), &filters, &address, &bytes) < 0 ||
            address == HADDR_UNDEF) {
            return false;
        }
        if (i == 0) place = {address, bytes};
        if (bytes != place.bytes || address != place.offset + static_cast<std::uint64_t>(i) * place.bytes)
            return false;
    }
    return true;
}

}  // namespace terrane::tiles
