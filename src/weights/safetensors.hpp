#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/byte_source.hpp"
#include "weights/safetensors_header.hpp"

namespace terrane::weights {

/// Reads tensors from a safetensors file (https://github.com/huggingface/safetensors), which is treated as
/// hostile: see safetensors_header.hpp. Tensors are read on demand, straight to where they belong.
class SafetensorsReader {
  public:
    /// Opens the file and checks its header. Throws Error E0902 (66) if it is missing, E0601 or E0602 if it
    /// is invalid.
    explicit SafetensorsReader(const std::filesystem::path& path);
    /// The same for any bytes; `file` is named in messages.
    SafetensorsReader(std::unique_ptr<ByteSource> bytes, std::string file);

    const std::vector<StoredTensor>& tensors() const { return header_.tensors; }
    const std::map<std::string, std::string>& metadata() const { return header_.metadata; }

    /// The entry of that name, or null.
    const StoredTensor* find(std::string_view name) const;
    /// The entry of that name, which must have this type and shape. Throws Error E0603 naming file, tensor
    /// and both specs.
    const StoredTensor& require(std::string_view name, const TensorSpec& spec) const;
    /// Copies the tensor's bytes. Throws Error E0602 if the file ends early.
    void read(const StoredTensor& tensor, std::span<std::byte> destination) const;

  private:
    std::unique_ptr<ByteSource> bytes_;
    std::string file_;
    SafetensorsHeader header_;
    std::map<std::string, std::size_t, std::less<>> index_;
};

/// Collects views of tensors and writes them to one safetensors file, every write checked. The tensors are
/// laid out by descending element size, then in the order of their addition, so that each is aligned to its
/// type.
class SafetensorsWriter {
  public:
    /// The view's memory (on the host) must live until write(). Names are unique.
    void add(std::string name, const TensorView& tensor);
    void add_metadata(std::string key, std::string value);
    /// Writes and fsyncs `path` itself, without the detour over a temporary name: the caller publishes the
    /// folder. Throws Error E0901.
    void write(const std::filesystem::path& path) const;

  private:
    std::vector<std::pair<std::string, TensorView>> tensors_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace terrane::weights
