#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor_view.hpp"
#include "weights/byte_source.hpp"

namespace terrane::weights {

/// Tensors by name in a file of some format, all of it checked when the file was opened; the numbers are read
/// on demand.
class TensorFile {
  public:
    struct Entry {
        std::string name;
        TensorSpec spec;
    };

    TensorFile() = default;
    virtual ~TensorFile() = default;
    TensorFile(const TensorFile&) = delete;
    TensorFile& operator=(const TensorFile&) = delete;

    virtual const std::string& file() const = 0;  ///< for messages
    virtual const std::vector<Entry>& tensors() const = 0;
    virtual const std::map<std::string, std::string>& metadata() const = 0;
    /// What was skipped or chosen on the way to the tensors, for the user.
    virtual const std::vector<std::string>& notes() const = 0;
    /// Copies the elements of tensors()[index] in row-major order. Throws Error E0602, E0622, E0623, E0902.
    virtual void read(std::size_t index, std::span<std::byte> destination) const = 0;
};

/// What of a .pth file to take: the key under which the weights lie ("teacher"); empty: chosen by itself.
struct TensorFileOptions {
    std::string part;
};

/// Opens a .safetensors file or what torch.save wrote (zip archive or the stream before PyTorch 1.6), told
/// apart by their first bytes. Throws Error E0902 (66), E0601 ... E0623 (65).
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path,
                                             const TensorFileOptions& options = {});
/// The same for bytes that somebody else owns and keeps; `file` is named in messages.
std::unique_ptr<TensorFile> open_tensor_bytes(std::unique_ptr<ByteSource> bytes, const std::string& file,
                                              const TensorFileOptions& options = {});

/// Element type conversion to f32; bf16, f16, f64 and the integers are converted, f32 copied.
std::vector<float> to_floats(DType dtype, std::span<const std::byte> bytes);

}  // namespace terrane::weights
