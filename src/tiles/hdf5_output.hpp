#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "tiles/hdf5_handle.hpp"

namespace terrane::tiles {

/// An HDF5 file that is being written: under a temporary name, every write checked, synced and renamed by
/// publish(). Without that the destructor removes the temporary. Only for sources of this module. All throw
/// Error E0420 (74; 73 if the file can't be created) with `advice` as what to do.
class Hdf5Output {
  public:
    Hdf5Output(std::filesystem::path path, std::string advice);
    ~Hdf5Output();
    Hdf5Output(const Hdf5Output&) = delete;
    Hdf5Output& operator=(const Hdf5Output&) = delete;

    const std::filesystem::path& path() const { return path_; }
    hid_t file() const { return file_.get(); }

    /// A dataset of rows, see create_chunked_dataset(); it is closed by publish().
    using Dataset = std::size_t;
    Dataset create_dataset(const std::string& name, hid_t type, const std::vector<hsize_t>& sizes);
    void write_row(Dataset dataset, std::int64_t row, std::span<const std::byte> bytes);

    /// Hands everything written to the file; from then on place_of() knows.
    void flush();
    DatasetPlace place_of(Dataset dataset) const;
    void publish();

    /// For what a writer does with file() itself: "F can't be <what>: <HDF5's reason>".
    Error failure(const char* what, ExitCode code = ExitCode::io_error) const;

  private:
    struct Open {
        Handle handle;
        std::vector<hsize_t> sizes;
    };

    bool close();

    std::filesystem::path path_, temporary_;
    std::string advice_;
    Handle file_;
    std::vector<Open> datasets_;
    bool published_ = false;
};

}  // namespace terrane::tiles
