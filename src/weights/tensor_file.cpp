#include "weights/tensor_file.hpp"

#include <array>
#include <cstring>

#include "tensor/float16.hpp"
#include "weights/safetensors.hpp"
#include "weights/torch_file.hpp"

namespace terrane::weights {

namespace {

class SafetensorsFile final : public TensorFile {
  public:
    SafetensorsFile(std::unique_ptr<ByteSource> bytes, std::string file)
        : reader_(std::move(bytes), file), file_(std::move(file)) {
        for (const StoredTensor& tensor : reader_.tensors()) entries_.push_back({tensor.name, tensor.spec});
    }

    const std::string& file() const override { return file_; }
    const std::vector<Entry>& tensors() const override { return entries_; }
    const std::map<std::string, std::string>& metadata() const override { return reader_.metadata(); }
    const std::vector<std::string>& notes() const override { return notes_; }
    void read(std::size_t index, std::span<std::byte> destination) const override {
        reader_.read(reader_.tensors()[index], destination);
    }

  private:
    SafetensorsReader reader_;
    std::string file_;
    std::vector<Entry> entries_;
    std::vector<std::string> notes_;
};

template <typename T>
std::vector<float> cast(std::span<const std::byte> bytes) {
    std::vector<float> values(bytes.size() / sizeof(T));
    for (std::size_t i = 0; i < values.size(); ++i) {
        T value;
        std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
        values[i] = static_cast<float>(value);
    }
    return values;
}

}  // namespace

std::vector<float> to_floats(DType dtype, std::span<const std::byte> bytes) {
    switch (dtype) {
        case DType::f32:
            return cast<float>(bytes);
        case DType::bf16:
            return cast<bfloat16>(bytes);
        case DType::f16:
            return cast<float16>(bytes);
        case DType::f64:
            return cast<double>(bytes);
        case DType::u8:
            return cast<std::uint8_t>(bytes);
        case DType::i8:
            return cast<std::int8_t>(bytes);
        case DType::u16:
            return cast<std::uint16_t>(bytes);
        case DType::i16:
            return cast<std::int16_t>(bytes);
        case DType::u32:
            return cast<std::uint32_t>(bytes);
        case DType::i32:
            return cast<std::int32_t>(bytes);
        case DType::i64:
            return cast<std::int64_t>(bytes);
    }
    return {};
}

std::unique_ptr<TensorFile> open_tensor_bytes(std::unique_ptr<ByteSource> bytes, const std::string& file,
                                              const TensorFileOptions& options) {
    // A safetensors file begins with the length of its header and the header's brace.
    std::array<std::byte, 9> head{};
    if (bytes->read(0, head) && head[8] == std::byte{'{'} && head[7] == std::byte{0} &&
        head[6] == std::byte{0}) {
        return std::make_unique<SafetensorsFile>(std::move(bytes), file);
    }
    return std::make_unique<TorchFile>(std::move(bytes), file, options);
}

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path,
                                             const TensorFileOptions& options) {
    return open_tensor_bytes(std::make_unique<FileBytes>(path), path.string(), options);
}

}  // namespace terrane::weights
