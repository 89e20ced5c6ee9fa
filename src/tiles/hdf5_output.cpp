#include "tiles/hdf5_output.hpp"

#include <unistd.h>

#include <array>

#include "base/file.hpp"

namespace terrane::tiles {

namespace {

constexpr std::size_t most_dimensions = 4;

}  // namespace

Hdf5Output::Hdf5Output(std::filesystem::path path, std::string advice)
    : path_(std::move(path)), temporary_(path_), advice_(std::move(advice)) {
    quiet_hdf5();
    temporary_ += fmt::format(".{}.tmp", ::getpid());
    file_ = create_hdf5_file(temporary_);
    if (!file_.valid()) throw failure("created", ExitCode::cannot_create);
}

Hdf5Output::~Hdf5Output() {
    close();
    if (published_) return;
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
}

Error Hdf5Output::failure(const char* what, ExitCode code) const {
    return Error(code, 420, fmt::format("{} can't be {}: {}.", path_.string(), what, hdf5_message()),
                 advice_);
}

Hdf5Output::Dataset Hdf5Output::create_dataset(const std::string& name, hid_t type,
                                               const std::vector<hsize_t>& sizes) {
    TERRANE_ASSERT(!sizes.empty() && sizes.size() <= most_dimensions, "{} dimensions", sizes.size());
    Handle dataset = create_chunked_dataset(file_.get(), name, type, sizes);
    if (!dataset.valid()) throw failure("written");
    datasets_.push_back({std::move(dataset), sizes});
    return datasets_.size() - 1;
}

void Hdf5Output::write_row(Dataset dataset, std::int64_t row, std::span<const std::byte> bytes) {
    const std::array<hsize_t, most_dimensions> at{static_cast<hsize_t>(row)};
    // Every write is checked: on a full disk H5Fclose alone reports success.
    if (H5Dwrite_chunk(datasets_[dataset].handle.get(), H5P_DEFAULT, 0, at.data(), bytes.size(),
                       bytes.data()) < 0)
        throw failure("written");
}

void Hdf5Output::flush() {
    if (H5Fflush(file_.get(), H5F_SCOPE_GLOBAL) < 0) throw failure("written");
}

DatasetPlace Hdf5Output::place_of(Dataset dataset) const {
    const Open& open = datasets_[dataset];
    DatasetPlace place;
    TERRANE_ASSERT(
        chunk_places(open.handle.get(), static_cast<std::int64_t>(open.sizes[0]), open.sizes.size(), place),
        "HDF5 scattered the chunks of {}", path_.string());
    return place;
}

bool Hdf5Output::close() {
    bool closed = true;
    for (Open& open : datasets_) closed = open.handle.close() && closed;
    return file_.close() && closed;
}

void Hdf5Output::publish() {
    flush();
    if (!close()) throw failure("closed");
    sync_file(temporary_);
    publish_by_rename(temporary_, path_);
    published_ = true;
}

}  // namespace terrane::tiles
