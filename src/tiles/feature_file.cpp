#include "tiles/feature_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "tiles/hdf5_output.hpp"

namespace terrane::tiles {

namespace {

constexpr const char* values_name = "features";
constexpr const char* checksums_name = "checksums";
constexpr const char* fingerprint_name = "fingerprint";
constexpr const char* fix = "Remove the folder of the feature cache: it is computed again.";

Handle text_type(std::size_t length) {
    Handle type(H5Tcopy(H5T_C_S1), &H5Tclose);
    if (!type.valid() || H5Tset_size(type.get(), length) < 0) throw InternalError("HDF5 offers no text");
    return type;
}

std::string read_fingerprint(hid_t file, std::size_t length) {
    const Handle attribute(H5Aopen(file, fingerprint_name, H5P_DEFAULT), &H5Aclose);
    if (!attribute.valid()) return {};
    const Handle stored(H5Aget_type(attribute.get()), &H5Tclose);
    const Handle space(H5Aget_space(attribute.get()), &H5Sclose);
    const bool fits = stored.valid() && H5Tget_class(stored.get()) == H5T_STRING &&
                      H5Tis_variable_str(stored.get()) == 0 && H5Tget_size(stored.get()) == length &&
                      space.valid() && H5Sget_simple_extent_npoints(space.get()) == 1;
    std::string text(length, '\0');
    if (!fits || H5Aread(attribute.get(), text_type(length).get(), text.data()) < 0) return {};
    return text;
}

bool has_sizes(hid_t dataset, hid_t type, const std::vector<hsize_t>& sizes) {
    const Handle stored(H5Dget_type(dataset), &H5Tclose);
    const Handle space(H5Dget_space(dataset), &H5Sclose);
    std::vector<hsize_t> found(sizes.size());
    return stored.valid() && space.valid() && H5Tequal(stored.get(), type) > 0 &&
           H5Sget_simple_extent_ndims(space.get()) == static_cast<int>(sizes.size()) &&
           H5Sget_simple_extent_dims(space.get(), found.data(), nullptr) >= 0 && found == sizes;
}

std::vector<hsize_t> sizes_of(const FeatureFileSpec& spec) {
    return {static_cast<hsize_t>(spec.records), static_cast<hsize_t>(spec.record_bytes)};
}

}  // namespace

struct FeatureFileWriter::State {
    State(std::filesystem::path path, const FeatureFileSpec& spec)
        : output(std::move(path),
                 "Free some space and run the same command again, or leave --feature-cache out."),
          checksums(static_cast<std::size_t>(spec.records)) {}

    Hdf5Output output;
    Hdf5Output::Dataset values = 0;
    std::vector<std::uint32_t> checksums;

    void write_fingerprint(const std::string& text) const {
        const Handle type = text_type(text.size());
        const Handle space(H5Screate(H5S_SCALAR), &H5Sclose);
        const Handle attribute(
            H5Acreate2(output.file(), fingerprint_name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
            &H5Aclose);
        if (!attribute.valid() || H5Awrite(attribute.get(), type.get(), text.data()) < 0)
            throw output.failure("written");
    }
    void write_checksums() const {
        const hsize_t count = checksums.size();
        const Handle space(H5Screate_simple(1, &count, nullptr), &H5Sclose);
        const Handle dataset(H5Dcreate2(output.file(), checksums_name, H5T_STD_U32LE, space.get(),
                                        H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                             &H5Dclose);
        if (!dataset.valid() ||
            H5Dwrite(dataset.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, checksums.data()) < 0) {
            throw output.failure("written");
        }
    }
};

FeatureFileWriter::FeatureFileWriter(std::filesystem::path path, const FeatureFileSpec& spec)
    : state_(std::make_unique<State>(std::move(path), spec)) {
    state_->write_fingerprint(spec.fingerprint);
    state_->values = state_->output.create_dataset(values_name, H5T_STD_U8LE, sizes_of(spec));
}

FeatureFileWriter::~FeatureFileWriter() = default;

void FeatureFileWriter::write(std::int64_t record, std::span<const std::byte> bytes) {
    state_->checksums[static_cast<std::size_t>(record)] = crc32c(bytes);
    state_->output.write_row(state_->values, record, bytes);
}

void FeatureFileWriter::finish() {
    state_->write_checksums();
    state_->output.publish();
}

std::string FeatureFile::open(const FeatureFileSpec& spec) {
    quiet_hdf5();
    if (!std::filesystem::exists(path_)) return fmt::format("there is no {}", path_.string());
    const Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), &H5Fclose);
    if (!file.valid()) return fmt::format("{} is no readable HDF5 file: {}", path_.string(), hdf5_message());
    if (read_fingerprint(file.get(), spec.fingerprint.size()) != spec.fingerprint)
        return fmt::format("{} is of other weights, tiles or settings", path_.string());
    const Handle values(H5Dopen2(file.get(), values_name, H5P_DEFAULT), &H5Dclose);
    const Handle checksums(H5Dopen2(file.get(), checksums_name, H5P_DEFAULT), &H5Dclose);
    checksums_.resize(static_cast<std::size_t>(spec.records));
    const bool good =
        values.valid() && checksums.valid() && has_sizes(values.get(), H5T_STD_U8LE, sizes_of(spec)) &&
        has_sizes(checksums.get(), H5T_STD_U32LE, {static_cast<hsize_t>(spec.records)}) &&
        chunk_places(values.get(), spec.records, 2, place_) &&
        place_.bytes == static_cast<std::uint64_t>(spec.record_bytes) &&
        H5Dread(checksums.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, checksums_.data()) >= 0;
    return good ? "" : fmt::format("{} has not the datasets it should have", path_.string());
}

std::string FeatureFile::unusable(const std::filesystem::path& path, const FeatureFileSpec& spec) {
    try {
        const FeatureFile file(path, spec);
        return {};
    } catch (const Error& error) {
        return error.message();
    }
}

FeatureFile::FeatureFile(std::filesystem::path path, const FeatureFileSpec& spec) : path_(std::move(path)) {
    const std::string wrong = open(spec);
    if (!wrong.empty()) throw Error(ExitCode::data_invalid, 411, wrong + ".", fix);
}

void FeatureFile::read(std::int64_t record, std::span<std::byte> bytes) const {
    TERRANE_ASSERT(bytes.size() == place_.bytes, "{} bytes for a record of {}", bytes.size(), place_.bytes);
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    std::size_t done = 0;
    int failure = file < 0 ? errno : 0;
    while (failure == 0 && done < bytes.size()) {
        const std::uint64_t at = place_.offset + static_cast<std::uint64_t>(record) * place_.bytes + done;
        const ssize_t count = ::pread(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(at));
        if (count < 0 && errno != EINTR) failure = errno;
        if (count == 0) break;
        if (count > 0) done += static_cast<std::size_t>(count);
    }
    if (file >= 0) ::close(file);
    if (done < bytes.size()) {
        throw Error(failure == 0 ? ExitCode::data_invalid : ExitCode::io_error, 411,
                    fmt::format("{} can't be read: {}.", path_.string(),
                                failure == 0 ? "it is cut short" : std::strerror(failure)),
                    fix);
    }
    if (crc32c(bytes) != checksums_[static_cast<std::size_t>(record)]) {
        throw Error(ExitCode::data_invalid, 410,
                    fmt::format("the checksum of record {} in {} differs: the file was damaged.", record,
                                path_.string()),
                    fix);
    }
}

}  // namespace terrane::tiles
