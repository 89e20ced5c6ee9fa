#pragma once

#include <hdf5.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tiles/manifest.hpp"

/// What every file that terrane keeps in HDF5 is written with. Only for sources of this module.
namespace terrane::tiles {

/// An HDF5 identifier that closes itself.
class Handle {
  public:
    Handle() = default;
    Handle(hid_t id, herr_t (*closing)(hid_t)) : id_(id), close_(closing) {}
    ~Handle() { reset(); }
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&& other) noexcept {
        reset();
        id_ = std::exchange(other.id_, H5I_INVALID_HID);
        close_ = other.close_;
        return *this;
    }
    hid_t get() const { return id_; }
    bool valid() const { return id_ >= 0; }
    /// Closes now; false if HDF5 reports a failure.
    bool close() {
        if (id_ < 0) return true;
        return close_(std::exchange(id_, H5I_INVALID_HID)) >= 0;
    }

  private:
    void reset() { close(); }
    hid_t id_ = H5I_INVALID_HID;
    herr_t (*close_)(hid_t) = nullptr;
};

/// The innermost message of HDF5's error stack.
std::string hdf5_message();
/// HDF5 prints nothing by itself from now on.
void quiet_hdf5();

/// A new file of the latest format, which checksums its metadata, and without time stamps: equal content
/// gives equal bytes. Invalid if it can't be created.
Handle create_hdf5_file(const std::filesystem::path& path);

/// A dataset whose chunks are its rows [1, ...]. Allocated early and never filled, they lie one after another
/// in the file. Invalid if it can't be made.
Handle create_chunked_dataset(hid_t file, const std::string& name, hid_t type,
                              const std::vector<hsize_t>& sizes);

/// The place of a dataset's first chunk, if its `rows` chunks lie one after another; false otherwise.
bool chunk_places(hid_t dataset, std::int64_t rows, std::size_t rank, DatasetPlace& place);

}  // namespace terrane::tiles
