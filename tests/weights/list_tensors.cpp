// list_tensors FILE OUT.safetensors [PART]: writes what the reader finds in FILE to OUT, for torch_files.py.
#include <cstdio>
#include <deque>

#include "weights/safetensors.hpp"
#include "weights/tensor_file.hpp"

int main(int count, char** arguments) {
    using namespace terrane;
    if (count < 3) return 2;
    try {
        const auto file = weights::open_tensor_file(arguments[1], {count > 3 ? arguments[3] : ""});
        weights::SafetensorsWriter writer;
        std::deque<std::vector<std::byte>> memory;
        for (std::size_t i = 0; i < file->tensors().size(); ++i) {
            const auto& entry = file->tensors()[i];
            std::vector<std::byte>& bytes = memory.emplace_back(entry.spec.bytes());
            file->read(i, bytes);
            writer.add(entry.name, {bytes.data(), entry.spec});
        }
        for (const std::string& note : file->notes()) std::printf("%s\n", note.c_str());
        writer.write(arguments[2]);
    } catch (const Error& error) {
        std::printf("E%04d %s\n", error.number(), error.message().c_str());
        return static_cast<int>(error.exit_code());
    }
    return 0;
}
