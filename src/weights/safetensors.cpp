#include "weights/safetensors.hpp"

#include <algorithm>
#include <array>

#include "base/file.hpp"

namespace terrane::weights {

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path)
    : SafetensorsReader(std::make_unique<FileBytes>(path), path.string()) {}

SafetensorsReader::SafetensorsReader(std::unique_ptr<ByteSource> bytes, std::string file)
    : bytes_(std::move(bytes)), file_(std::move(file)) {
    std::array<std::byte, 8> first{};
    const bool has_length = bytes_->read(0, first);
    const std::uint64_t length = safetensors_header_length(
        has_length ? std::span<const std::byte>(first) : std::span<const std::byte>{}, bytes_->size(), file_);
    std::string json(length, '\0');
    if (!bytes_->read(8, std::as_writable_bytes(std::span(json)))) {
        throw Error(ExitCode::data_invalid, 601, fmt::format("{} ends within its header.", file_));
    }
    header_ = parse_safetensors_header(json, bytes_->size(), file_);
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
}

const StoredTensor* SafetensorsReader::find(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &header_.tensors[found->second];
}

const StoredTensor& SafetensorsReader::require(std::string_view name, const TensorSpec& spec) const {
    const StoredTensor* tensor = find(name);
    if (tensor == nullptr) {
        throw Error(ExitCode::data_invalid, 603, fmt::format("{} has no tensor \"{}\".", file_, name),
                    "Check that the weights belong to this configuration's model, classes and modalities.");
    }
    if (tensor->spec != spec) {
        throw Error(ExitCode::data_invalid, 603,
                    fmt::format("{}: tensor \"{}\" is {} {}, the model needs {} {}.", file_, name,
                                name_of(tensor->spec.dtype), tensor->spec.shape.text(), name_of(spec.dtype),
                                spec.shape.text()),
                    "Check that the weights belong to this configuration's model, classes and modalities.");
    }
    return *tensor;
}

void SafetensorsReader::read(const StoredTensor& tensor, std::span<std::byte> destination) const {
    TERRANE_ASSERT(destination.size() == tensor.spec.bytes(), "{} bytes for tensor {} of {} bytes",
                   destination.size(), tensor.name, tensor.spec.bytes());
    if (!bytes_->read(tensor.offset, destination)) {
        throw Error(ExitCode::data_invalid, 602,
                    fmt::format("{} ends within tensor \"{}\".", file_, tensor.name));
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
