#include "weights/zip_archive.hpp"

#include <zip.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "weights/printable.hpp"

namespace terrane::weights {

namespace {

/// What libzip's callback reads from.
struct SourceState {
    const ByteSource* bytes = nullptr;
    std::uint64_t position = 0;
    zip_error_t error{};
};

zip_int64_t serve(void* user, void* data, zip_uint64_t length, zip_source_cmd_t command) {
    auto& state = *static_cast<SourceState*>(user);
    const std::uint64_t size = state.bytes->size();
    switch (command) {
        case ZIP_SOURCE_OPEN:
            state.position = 0;
            return 0;
        case ZIP_SOURCE_READ: {
            const std::uint64_t count =
                std::min<std::uint64_t>(length, size - std::min(state.position, size));
            bool whole = false;
            try {
                whole =
                    count == 0 || state.bytes->read(state.position, {static_cast<std::byte*>(data), count});
            } catch (const Error&) {  // an exception must not cross libzip's C frames
                whole = false;
            }
            if (!whole) {
                zip_error_set(&state.error, ZIP_ER_READ, 0);
                return -1;
            }
            state.position += count;
            return static_cast<zip_int64_t>(count);
        }
        case ZIP_SOURCE_CLOSE:
            return 0;
        case ZIP_SOURCE_STAT: {
            auto* status = static_cast<zip_stat_t*>(data);
            zip_stat_init(status);
            status->size = size;
            status->valid = ZIP_STAT_SIZE;
            return sizeof(zip_stat_t);
        }
        case ZIP_SOURCE_ERROR:
            return zip_error_to_data(&state.error, data, length);
        case ZIP_SOURCE_SEEK: {
            const zip_int64_t position =
                zip_source_seek_compute_offset(state.position, size, data, length, &state.error);
            if (position < 0) return -1;
            state.position = static_cast<std::uint64_t>(position);
            return 0;
        }
        case ZIP_SOURCE_TELL:
            return static_cast<zip_int64_t>(state.position);
        case ZIP_SOURCE_SUPPORTS:
            return ZIP_SOURCE_SUPPORTS_SEEKABLE;
        case ZIP_SOURCE_FREE:
            delete &state;
            return 0;
        default:  // libzip's commands for writing
            zip_error_set(&state.error, ZIP_ER_OPNOTSUPP, 0);
            return -1;
    }
}

struct FileHandle {
    zip_file_t* handle;
    explicit FileHandle(zip_file_t* opened) : handle(opened) {}
    ~FileHandle() {
        if (handle != nullptr) zip_fclose(handle);
    }
    FileHandle(const FileHandle&) = delete;
    FileHandle& operator=(const FileHandle&) = delete;
};

}  // namespace

void ZipArchive::refuse(const std::string& reason) const {
    throw Error(ExitCode::data_invalid, 623,
                fmt::format("{} is not a usable zip archive: {}.", file_, reason),
                "Copy or save the file again with torch.save.");
}

ZipArchive::ZipArchive(const ByteSource& bytes, std::string file)
    : file_(std::move(file)), archive_(nullptr, [](zip* archive) { zip_discard(archive); }) {
    zip_error_t error;
    zip_error_init(&error);
    auto state = std::make_unique<SourceState>();
    state->bytes = &bytes;
    zip_error_init(&state->error);
    zip_source_t* source = zip_source_function_create(serve, state.get(), &error);
    if (source == nullptr) refuse(zip_error_strerror(&error));
    state.release();  // freed by ZIP_SOURCE_FREE
    archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
    if (archive_ == nullptr) {
        const std::string reason = zip_error_strerror(&error);
        zip_source_free(source);
        zip_error_fini(&error);
        refuse(reason);
    }

    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    std::uint64_t total = 0;
    for (zip_int64_t i = 0; i < count; ++i) {
        zip_stat_t status;
        zip_stat_init(&status);
        constexpr zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                        ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
        const auto index = static_cast<zip_uint64_t>(i);
        if (zip_stat_index(archive_.get(), index, 0, &status) != 0 || (status.valid & needed) != needed) {
            refuse(fmt::format("entry {} can't be read", i));
        }
        const std::string name = status.name;
        if (status.comp_method != ZIP_CM_STORE || status.encryption_method != ZIP_EM_NONE) {
            refuse(fmt::format("entry {} is compressed or encrypted, PyTorch stores entries as they are",
                               printable(name)));
        }
        if (status.size != status.comp_size || status.size > bytes.size() - total) {
            refuse(fmt::format("entry {} claims {} bytes, more than the file has room for", printable(name),
                               status.size));
        }
        total += status.size;
        if (!entries_.emplace(name, Entry{index, status.size}).second) {
            refuse(fmt::format("entry {} is there twice", printable(name)));
        }
    }
}

ZipArchive::~ZipArchive() = default;

const ZipArchive::Entry* ZipArchive::find(std::string_view name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
}

void ZipArchive::read(std::string_view name, const Entry& entry, std::uint64_t offset,
                      std::span<std::byte> destination) const {
    TERRANE_ASSERT(offset <= entry.size && destination.size() <= entry.size - offset,
                   "bytes {} + {} of an entry of {}", offset, destination.size(), entry.size);
    const FileHandle file(zip_fopen_index(archive_.get(), entry.index, 0));
    const auto fail = [&](const char* what) { refuse(fmt::format("entry {}: {}", printable(name), what)); };
    if (file.handle == nullptr) fail(zip_strerror(archive_.get()));
    if (offset > 0 && zip_fseek(file.handle, static_cast<zip_int64_t>(offset), SEEK_SET) != 0) {
        fail(zip_file_strerror(file.handle));
    }
    while (!destination.empty()) {
        const zip_int64_t received = zip_fread(file.handle, destination.data(), destination.size());
        if (received < 0) fail(zip_file_strerror(file.handle));
        if (received == 0) fail("it ends early");
        destination = destination.subspan(static_cast<std::size_t>(received));
    }
    // libzip compares the checksum when it is asked for more at the end.
    std::byte beyond{};
    if (offset == 0 && zip_fread(file.handle, &beyond, 1) < 0) fail(zip_file_strerror(file.handle));
}

}  // namespace terrane::weights
