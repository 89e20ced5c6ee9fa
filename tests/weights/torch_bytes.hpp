#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "weights/tensor_file.hpp"

/// Files as torch.save writes them, put together byte by byte, so that every lie can be told.
namespace terrane::test {

/// A zip archive of stored entries. Each entry may lie about itself.
class ZipBytes {
  public:
    struct Lie {
        std::uint16_t method = 0;        ///< 8: says that it is deflated
        std::uint32_t central_size = 0;  ///< nonzero: size in the central directory
        std::uint32_t crc_flip = 0;      ///< bits to flip in both checksums
    };

    void add(const std::string& name, const std::string& content) { add(name, content, Lie{}); }
    void add(const std::string& name, const std::string& content, const Lie& lie) {
        const auto offset = static_cast<std::uint32_t>(body_.size());
        const std::uint32_t crc = crc32(content) ^ lie.crc_flip;
        const auto size = static_cast<std::uint32_t>(content.size());
        const std::uint32_t told = lie.central_size != 0 ? lie.central_size : size;
        body_ += "PK\x03\x04" + u16(20) + u16(0) + u16(lie.method) + u32(0x21) + u32(crc) + u32(size) +
                 u32(size) + u16(static_cast<std::uint16_t>(name.size())) + u16(0) + name + content;
        directory_ += "PK\x01\x02" + u16(20) + u16(20) + u16(0) + u16(lie.method) + u32(0x21) + u32(crc) +
                      u32(told) + u32(told) + u16(static_cast<std::uint16_t>(name.size())) + u16(0) + u16(0) +
                      u16(0) + u16(0) + u32(0) + u32(offset) + name;
        ++count_;
    }

    std::string bytes() const {
        return body_ + directory_ + "PK\x05\x06" + u16(0) + u16(0) + u16(count_) + u16(count_) +
               u32(static_cast<std::uint32_t>(directory_.size())) +
               u32(static_cast<std::uint32_t>(body_.size())) + u16(0);
    }

  private:
    static std::string u16(std::uint16_t v) { return {static_cast<char>(v), static_cast<char>(v >> 8)}; }
    static std::string u32(std::uint32_t v) {
        return u16(static_cast<std::uint16_t>(v)) + u16(static_cast<std::uint16_t>(v >> 16));
    }
    static std::uint32_t crc32(const std::string& content) {
        std::uint32_t crc = 0xffffffffu;
        for (const char c : content) {
            crc ^= static_cast<std::uint8_t>(c);
            for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1u) != 0 ? 0xedb88320u : 0u);
        }
        return ~crc;
    }

    std::string body_;
    std::string directory_;
    std::uint16_t count_ = 0;
};

/// Parts of a pickle.
inline std::string little(std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
    return text;
}
inline std::string text(const std::string& content) {
    return "X" + little(content.size(), 4) + content;
}
inline std::string integer(std::int64_t value) {
    return std::string("\x8a") + '\x08' + little(static_cast<std::uint64_t>(value), 8);
}
inline std::string global(const std::string& module, const std::string& name) {
    return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::int64_t>& values) {
    std::string content = "(";
    for (const std::int64_t value : values) content += integer(value);
    return content + "t";
}
inline std::string storage(const std::string& type, const std::string& key, std::int64_t elements) {
    return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + integer(elements) + "tQ";
}
inline std::string tensor(const std::string& storage_code, std::int64_t offset,
                          const std::vector<std::int64_t>& sizes, const std::vector<std::int64_t>& strides) {
    return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage_code + integer(offset) +
           tuple(sizes) + tuple(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
/// A dictionary of one entry.
inline std::string entry(const std::string& key, const std::string& value) {
    return "}" + text(key) + value + "s";
}
inline std::string pickle(const std::string& code) {
    return std::string("\x80\x02") + code + ".";
}

inline std::string floats(const std::vector<float>& values) {
    std::string bytes(values.size() * sizeof(float), '\0');
    std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

/// The archive of a pickle and its storages.
inline std::string archive(const std::string& pickle_bytes,
                           const std::map<std::string, std::string>& storages) {
    ZipBytes zip;
    zip.add("model/data.pkl", pickle_bytes);
    for (const auto& [key, content] : storages) zip.add("model/data/" + key, content);
    zip.add("model/version", "3\n");
    return zip.bytes();
}

/// The stream of PyTorch before 1.6; a storage's content goes with its number of elements.
inline std::string legacy_stream(
    const std::string& pickle_bytes,
    const std::map<std::string, std::pair<std::uint64_t, std::string>>& storages) {
    const std::string magic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
    std::string keys = "](";
    std::string content;
    for (const auto& [key, data] : storages) {
        keys += text(key);
        content += little(data.first, 8) + data.second;
    }
    return pickle(magic) + pickle(integer(1001)) + pickle(entry("little_endian", "\x88")) + pickle_bytes +
           pickle(keys + "e") + content;
}

/// Bytes that own themselves.
class OwnedBytes final : public weights::ByteSource {
  public:
    explicit OwnedBytes(std::string content)
        : content_(std::move(content)), view_(std::as_bytes(std::span(content_))) {}
    std::uint64_t size() const override { return content_.size(); }
    bool read(std::uint64_t offset, std::span<std::byte> destination) const override {
        return view_.read(offset, destination);
    }

  private:
    std::string content_;
    weights::MemoryBytes view_;
};

inline std::unique_ptr<weights::TensorFile> open_bytes(const std::string& content,
                                                       const std::string& part = "") {
    return weights::open_tensor_bytes(std::make_unique<OwnedBytes>(content), "model.pth", {part});
}

}  // namespace terrane::test
