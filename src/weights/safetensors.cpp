#include "weights/safetensors.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.hpp"

namespace terrane::weights {

namespace {

// False if the file ends early; throws on a read error.
bool read_at(int descriptor, std::uint64_t offset, std::span<std::byte> destination,
             const std::filesystem::path& path) {
    while (!destination.empty()) {
        const ssize_t received =
            ::pread(descriptor, destination.data(), destination.size(), static_cast<off_t>(offset));
        if (received < 0) {
            if (errno == EINTR) continue;
            throw Error(ExitCode::io_error, 902,
                        fmt::format("reading {} failed: {}.", path.string(), std::strerror(errno)));
        }
        if (received == 0) return false;
        offset += static_cast<std::uint64_t>(received);
        destination = destination.subspan(static_cast<std::size_t>(received));
    }
    return true;
}

}  // namespace

SafetensorsReader::SafetensorsReader(std::filesystem::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) {
        throw Error(ExitCode::input_missing, 902,
                    fmt::format("{} can't be opened: {}.", path_.string(), std::strerror(errno)));
    }
    try {
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
            throw Error(ExitCode::data_invalid, 601,
                        fmt::format("{} is not a regular file.", path_.string()));
        }
        const auto size = static_cast<std::uint64_t>(status.st_size);
        std::array<std::byte, 8> first{};
        const bool has_length = read_at(descriptor_, 0, first, path_);
        const std::uint64_t length = safetensors_header_length(
            has_length ? std::span<const std::byte>(first) : std::span<const std::byte>{}, size,
            path_.string());
        std::string json(length, '\0');
        if (!read_at(descriptor_, 8, std::as_writable_bytes(std::span(json)), path_)) {
            throw Error(ExitCode::data_invalid, 601,
                        fmt::format("{} ends within its header.", path_.string()));
        }
        header_ = parse_safetensors_header(json, size, path_.string());
    } catch (...) {
        ::close(descriptor_);
        throw;
    }
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

SafetensorsReader::~SafetensorsReader() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

const StoredTensor* SafetensorsReader::find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &header_.tensors[found->second];
}

const StoredTensor& SafetensorsReader::require(std::string_view name, const TensorSpec& spec) const {
    const StoredTensor* tensor = find(name);
    if (tensor == nullptr) {
        throw Error(ExitCode::data_invalid, 603,
                    fmt::format("{} has no tensor \"{}\".", path_.string(), name),
                    "Check that the weights belong to this configuration's model, classes and modalities.");
    }
    if (tensor->spec != spec) {
        throw Error(ExitCode::data_invalid, 603,
                    fmt::format("{}: tensor \"{}\" is {} {}, the model needs {} {}.", path_.string(), name,
                                name_of(tensor->spec.dtype), tensor->spec.shape.text(), name_of(spec.dtype),
                                spec.shape.text()),
                    "Check that the weights belong to this configuration's model, classes and modalities.");
    }
    return *tensor;
}

void SafetensorsReader::read(const StoredTensor& tensor, std::span<std::byte> destination) const {
    TERRANE_ASSERT(destination.size() == tensor.spec.bytes(), "{} bytes for tensor {} of {} bytes",
                   destination.size(), tensor.name, tensor.spec.bytes());
    if (!read_at(descriptor_, tensor.offset, destination, path_)) {
        throw Error(ExitCode::data_invalid, 602,
                    fmt::format("{} ends within tensor \"{}\".", path_.string(), tensor.name));
    }
}

void SafetensorsWriter::add(std::string name, const TensorView& tensor) {
    TERRANE_ASSERT(name != "__metadata__", "the name is reserved by the format");
    tensors_.emplace_back(std::move(name), tensor);
}

void SafetensorsWriter::add_metadata(std::string key, std::string value) {
    metadata_.insert_or_assign(std::move(key), std::move(value));
}

void SafetensorsWriter::write(const std::filesystem::path& path) const {
    std::vector<const std::pair<std::string, TensorView>*> order;
    for (const auto& tensor : tensors_) order.push_back(&tensor);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
        return size_of(a->second.dtype()) > size_of(b->second.dtype());
    });
    SafetensorsHeader header;
    header.metadata = metadata_;
    for (const auto* tensor : order) header.tensors.push_back({tensor->first, tensor->second.spec, 0});

    const std::string json = make_safetensors_header(header);
    std::array<std::byte, 8> length{};
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(json.size() >> (8 * i));

    CheckedFile file(path);
    file.write(length);
    file.write(std::as_bytes(std::span(json)));
    for (const auto* tensor : order) file.write({tensor->second.data, tensor->second.bytes()});
    file.finish();
}

}  // namespace terrane::weights
