#pragma once

#include "weights/state_dict.hpp"
#include "weights/tensor_file.hpp"
#include "weights/zip_archive.hpp"

namespace terrane::weights {

/// What torch.save writes: a zip archive of data.pkl and data/<key>, or before PyTorch 1.6 a stream of
/// pickles followed by the storages. The file is hostile until proven otherwise: pickle.hpp says how it is
/// read, and no more memory is used than a small multiple of the pickle's size.
class TorchFile final : public TensorFile {
  public:
    /// Throws Error E0620 if this is no such file, E0621 ... E0623 if it is damaged.
    TorchFile(std::unique_ptr<ByteSource> bytes, std::string file, const TensorFileOptions& options);

    const std::string& file() const override { return file_; }
    const std::vector<Entry>& tensors() const override { return entries_; }
    const std::map<std::string, std::string>& metadata() const override { return metadata_; }
    const std::vector<std::string>& notes() const override { return heap_.notes; }
    void read(std::size_t index, std::span<std::byte> destination) const override;

  private:
    /// Where a storage's bytes are: an entry of the archive, or a place in the file.
    struct Place {
        const std::string* entry = nullptr;
        std::uint64_t offset = 0;
    };

    void open_archive(const TensorFileOptions& options);
    void open_stream(const TensorFileOptions& options);
    void read_storages_of_stream(std::uint64_t position, const std::vector<std::string>& keys);
    void name_tensors(const pickle::Machine& machine, const pickle::Value& root,
                      const TensorFileOptions& options);
    void read_bytes(const Place& place, std::uint64_t offset, std::span<std::byte> destination) const;
    [[noreturn]] void refuse(const std::string& reason) const;

    std::unique_ptr<ByteSource> bytes_;
    std::string file_;
    std::unique_ptr<ZipArchive> archive_;
    std::vector<std::byte> pickle_;
    pickle::Heap heap_;
    std::map<std::string, Place, std::less<>> places_;  ///< by storage key
    std::vector<NamedTensor> named_;
    std::vector<Entry> entries_;
    std::map<std::string, std::string> metadata_;
};

}  // namespace terrane::weights
