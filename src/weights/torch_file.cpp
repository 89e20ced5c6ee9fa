#include "weights/torch_file.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "weights/printable.hpp"

namespace terrane::weights {

namespace {

using pickle::Kind;
using pickle::Machine;
using pickle::Value;

/// The number 0x1950a86a20f9469cfc6c, the first pickle of the stream format.
constexpr std::array<unsigned char, 10> stream_magic{0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                                     0x20, 0x6a, 0xa8, 0x50, 0x19};
constexpr std::int64_t stream_protocol = 1001;
constexpr const char* save_again = "Save the weights again with a current torch.save or as safetensors.";

bool is_archive(std::span<const std::byte> head) {
    return head.size() >= 4 && std::memcmp(head.data(), "PK\x03\x04", 4) == 0;
}

// A pickle's PROTO opcode, and the number soon after it.
bool is_stream(std::span<const std::byte> head) {
    if (head.empty() || head[0] != std::byte{0x80}) return false;
    const std::span<const std::byte> begin = head.first(std::min<std::size_t>(head.size(), 32));
    const auto magic = std::as_bytes(std::span(stream_magic));
    return std::search(begin.begin(), begin.end(), magic.begin(), magic.end()) != begin.end();
}

bool is_tar(std::span<const std::byte> head) {
    return head.size() > 262 && std::memcmp(head.data() + 257, "ustar", 5) == 0;
}

Shape shape_of(const pickle::Tensor& tensor) {
    const auto& s = tensor.sizes;
    switch (tensor.rank) {
        case 0:
            return Shape{};
        case 1:
            return Shape{s[0]};
        case 2:
            return Shape{s[0], s[1]};
        case 3:
            return Shape{s[0], s[1], s[2]};
        case 4:
            return Shape{s[0], s[1], s[2], s[3]};
        case 5:
            return Shape{s[0], s[1], s[2], s[3], s[4]};
        default:
            return Shape{s[0], s[1], s[2], s[3], s[4], s[5]};
    }
}

bool is_contiguous(const pickle::Tensor& tensor) {
    std::int64_t expected = 1;
    for (int i = tensor.rank; i-- > 0;) {
        const auto d = static_cast<std::size_t>(i);
        if (tensor.sizes[d] != 1 && tensor.strides[d] != expected) return false;
        expected *= tensor.sizes[d];
    }
    return true;
}

// Copies a strided view in row-major order of its indices.
void gather(const pickle::Tensor& tensor, std::size_t element, std::span<const std::byte> source,
            std::span<std::byte> destination) {
    std::array<std::int64_t, pickle::Tensor::max_rank> index{};
    std::int64_t from = 0;
    for (std::size_t to = 0; to < destination.size(); to += element) {
        std::memcpy(destination.data() + to, source.data() + static_cast<std::size_t>(from) * element,
                    element);
        for (int i = tensor.rank; i-- > 0;) {
            const auto d = static_cast<std::size_t>(i);
            from += tensor.strides[d];
            if (++index[d] < tensor.sizes[d]) break;
            from -= tensor.strides[d] * tensor.sizes[d];
            index[d] = 0;
        }
    }
}

}  // namespace

TorchFile::TorchFile(std::unique_ptr<ByteSource> bytes, std::string file, const TensorFileOptions& options)
    : bytes_(std::move(bytes)), file_(std::move(file)) {
    std::array<std::byte, 512> head{};
    const std::size_t known = std::min<std::uint64_t>(head.size(), bytes_->size());
    const std::span<std::byte> first(head.data(), known);
    if (!bytes_->read(0, first)) refuse("it can't be read");
    if (is_archive(first)) {
        open_archive(options);
    } else if (is_stream(first)) {
        open_stream(options);
    } else if (is_tar(first)) {
        throw Error(ExitCode::data_invalid, 620,
                    fmt::format("{} is a tar archive of PyTorch before 0.1.11, which is not read.", file_),
                    save_again);
    } else {
        throw Error(ExitCode::data_invalid, 620,
                    fmt::format("{} is neither what torch.save writes nor safetensors.", file_), save_again);
    }
}

void TorchFile::refuse(const std::string& reason) const {
    throw Error(ExitCode::data_invalid, 622, fmt::format("{}: {}.", file_, reason),
                "Copy or save the file again.");
}

void TorchFile::open_archive(const TensorFileOptions& options) {
    archive_ = std::make_unique<ZipArchive>(*bytes_, file_);
    constexpr std::string_view pickle_name = "/data.pkl";
    const std::string* found = nullptr;
    for (const auto& [name, entry] : archive_->entries()) {
        if (name.ends_with(pickle_name) && std::count(name.begin(), name.end(), '/') == 1) found = &name;
    }
    if (found == nullptr) {
        throw Error(
            ExitCode::data_invalid, 620,
            fmt::format("{} is a zip archive without FOLDER/data.pkl, so torch.save did not write it.",
                        file_),
            save_again);
    }
    const std::string folder = found->substr(0, found->size() - pickle_name.size() + 1);
    if (const ZipArchive::Entry* order = archive_->find(folder + "byteorder"); order != nullptr) {
        std::string text(std::min<std::uint64_t>(order->size, 16), '\0');
        archive_->read("byteorder", *order, 0, std::as_writable_bytes(std::span(text)));
        if (text != "little") refuse(fmt::format("its byte order is \"{}\", not little", printable(text)));
    }
    const ZipArchive::Entry& entry = *archive_->find(*found);
    if (entry.size > pickle::longest_pickle) {
        refuse(fmt::format("its data.pkl of {} bytes is larger than any checkpoint's", entry.size));
    }
    pickle_.resize(entry.size);
    archive_->read("data.pkl", entry, 0, pickle_);
    Machine machine(heap_, pickle_, file_ + ", data.pkl");
    std::size_t position = 0;
    const Value root = machine.run(position);

    for (const pickle::Storage& storage : heap_.storages) {
        const auto place =
            archive_->entries().find(folder + "data/" + std::string(storage.key.substr(0, 1000)));
        if (place == archive_->entries().end()) {
            refuse(fmt::format("the archive lacks storage {}", printable(storage.key)));
        }
        if (storage.elements > place->second.size / size_of(storage.dtype)) {
            refuse(fmt::format("storage {} has {} bytes, too few for {} elements of {}",
                               printable(storage.key), place->second.size, storage.elements,
                               name_of(storage.dtype)));
        }
        places_.emplace(std::string(storage.key), Place{&place->first, 0});
    }
    name_tensors(machine, root, options);
}

void TorchFile::open_stream(const TensorFileOptions& options) {
    pickle_.resize(std::min<std::uint64_t>(bytes_->size(), pickle::longest_pickle));
    if (!bytes_->read(0, pickle_)) refuse("it can't be read");
    Machine machine(heap_, pickle_, file_);
    std::size_t position = 0;
    machine.run(position);  // the magic number
    const Value protocol = machine.run(position);
    if (protocol.kind != Kind::integer || protocol.integer != stream_protocol) {
        refuse("its protocol is not 1001");
    }
    const Value system = machine.run(position);
    if (system.kind == Kind::dictionary) {
        const std::vector<Value>& items = heap_.containers[system.index].items;
        for (std::size_t i = 0; i + 1 < items.size(); i += 2) {
            if (machine.text(items[i]) == "little_endian" && items[i + 1].integer == 0) {
                refuse("it was written on a big-endian machine");
            }
        }
    }
    const Value root = machine.run(position);
    const Value list = machine.run(position);
    if (list.kind != Kind::list) refuse("its list of storages is missing");
    std::vector<std::string> keys;
    for (const Value& key : heap_.containers[list.index].items) {
        if (key.kind != Kind::text) refuse("its list of storages is damaged");
        keys.emplace_back(machine.text(key).substr(0, 1000));
    }
    read_storages_of_stream(position, keys);
    name_tensors(machine, root, options);
}

// Each storage is its number of elements (8 bytes) and its bytes; only the pickle knows their type.
void TorchFile::read_storages_of_stream(std::uint64_t position, const std::vector<std::string>& keys) {
    std::map<std::string_view, const pickle::Storage*> known;
    for (const pickle::Storage& storage : heap_.storages) {
        const auto [at, fresh] = known.emplace(storage.key, &storage);
        if (!fresh && (at->second->dtype != storage.dtype || at->second->elements != storage.elements)) {
            refuse(fmt::format("storage {} is described in two ways", printable(storage.key)));
        }
    }
    for (const std::string& key : keys) {
        const auto storage = known.find(key);
        if (storage == known.end()) refuse(fmt::format("nothing says what storage {} is", printable(key)));
        std::array<std::byte, 8> count{};
        if (!bytes_->read(position, count)) refuse(fmt::format("it ends before storage {}", printable(key)));
        std::uint64_t elements = 0;
        for (std::size_t i = 8; i-- > 0;) elements = elements << 8 | std::to_integer<std::uint64_t>(count[i]);
        if (elements != storage->second->elements) {
            refuse(fmt::format("storage {} has {} elements, its description {}", printable(key), elements,
                               storage->second->elements));
        }
        position += 8;
        const std::uint64_t size = elements * size_of(storage->second->dtype);
        if (position > bytes_->size() || size > bytes_->size() - position) {
            refuse(fmt::format("it ends within storage {}", printable(key)));
        }
        if (!places_.emplace(key, Place{nullptr, position}).second) {
            refuse(fmt::format("storage {} is there twice", printable(key)));
        }
        position += size;
    }
    for (const auto& [key, storage] : known) {
        if (!places_.contains(key)) refuse(fmt::format("storage {} is missing", printable(key)));
    }
}

void TorchFile::name_tensors(const Machine& machine, const Value& root, const TensorFileOptions& options) {
    named_ = find_state_dict(heap_, machine, root, options.part, file_);
    for (const NamedTensor& named : named_) {
        const pickle::Tensor& tensor = heap_.tensors[named.tensor];
        entries_.push_back({named.name, {heap_.storages[tensor.storage].dtype, shape_of(tensor)}});
    }
}

void TorchFile::read_bytes(const Place& place, std::uint64_t offset, std::span<std::byte> destination) const {
    if (place.entry != nullptr) {
        archive_->read(*place.entry, *archive_->find(*place.entry), offset, destination);
    } else if (!bytes_->read(place.offset + offset, destination)) {
        refuse("it became shorter while it was read");
    }
}

void TorchFile::read(std::size_t index, std::span<std::byte> destination) const {
    TERRANE_ASSERT(index < entries_.size() && destination.size() == entries_[index].spec.bytes(),
                   "{} bytes for tensor {}", destination.size(), index);
    if (destination.empty()) return;
    const pickle::Tensor& tensor = heap_.tensors[named_[index].tensor];
    const pickle::Storage& storage = heap_.storages[tensor.storage];
    const Place& place = places_.find(storage.key)->second;
    const std::size_t element = size_of(storage.dtype);
    if (is_contiguous(tensor)) {
        read_bytes(place, tensor.offset * element, destination);
        return;
    }
    std::uint64_t span = 1;
    for (int i = 0; i < tensor.rank; ++i) {
        const auto d = static_cast<std::size_t>(i);
        span += static_cast<std::uint64_t>((tensor.sizes[d] - 1) * tensor.strides[d]);
    }
    std::vector<std::byte> source(span * element);
    read_bytes(place, tensor.offset * element, source);
    gather(tensor, element, source, destination);
}

}  // namespace terrane::weights
