#include "train/model_export.hpp"

#include <cstring>
#include <deque>

#include "base/file.hpp"
#include "nets/network.hpp"
#include "onnx/graph_to_onnx.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"
#include "weights/safetensors.hpp"

namespace terrane::train {

namespace {

// [outer, pixels..., channels] to [outer, channels, pixels...].
std::vector<std::byte> channels_first(const std::vector<std::byte>& bytes, const TensorSpec& spec) {
    const std::size_t element = size_of(spec.dtype);
    const std::int64_t channels = spec.shape[3];
    const std::int64_t pixels = spec.shape[1] * spec.shape[2];
    std::vector<std::byte> result(bytes.size());
    std::byte* to = result.data();
    for (std::int64_t outer = 0; outer < spec.shape[0]; ++outer) {
        for (std::int64_t c = 0; c < channels; ++c) {
            for (std::int64_t p = 0; p < pixels; ++p, to += element) {
                const std::int64_t from = (outer * pixels + p) * channels + c;
                std::memcpy(to, bytes.data() + static_cast<std::size_t>(from) * element, element);
            }
        }
    }
    return result;
}

}  // namespace

std::size_t export_for_pytorch(const std::filesystem::path& model, const std::filesystem::path& path) {
    const weights::SafetensorsReader reader(model);
    weights::SafetensorsWriter writer;
    std::deque<std::vector<std::byte>> memory;
    std::int64_t no_batches = 0;
    constexpr std::string_view statistics = "running_mean";
    std::size_t count = 0;
    for (const weights::StoredTensor& tensor : reader.tensors()) {
        std::vector<std::byte>& bytes = memory.emplace_back(tensor.spec.bytes());
        reader.read(tensor, bytes);
        TensorSpec spec = tensor.spec;
        if (spec.shape.rank() == 4) {
            bytes = channels_first(bytes, spec);
            spec.shape = {spec.shape[0], spec.shape[3], spec.shape[1], spec.shape[2]};
        }
        writer.add(tensor.name, {bytes.data(), spec});
        ++count;
        if (!tensor.name.ends_with(statistics)) continue;
        const std::string base = tensor.name.substr(0, tensor.name.size() - statistics.size());
        writer.add(base + "num_batches_tracked",
                   {reinterpret_cast<std::byte*>(&no_batches), {DType::i64, Shape{}}});
    }
    writer.add_metadata("format", "pt");
    writer.add_metadata("terrane.layout", "nchw");
    // Not under model_description_key: that would say that the tensors lie as in a checkpoint.
    const auto description = reader.metadata().find(model_description_key);
    if (description != reader.metadata().end()) {
        writer.add_metadata("terrane.exported_model", description->second);
    }
    writer.write(path);
    return count;
}

void export_onnx(const std::filesystem::path& model, const std::filesystem::path& path,
                 const OnnxSizes& sizes) {
    const ModelDescription description = model_description(model);
    if (description.model.name == "pkdiff") {
        throw Error(
            ExitCode::data_invalid, 626,
            fmt::format("{} is a pkdiff: its answer comes from many passes with noise between them, which "
                        "have no counterpart in ONNX.",
                        model.string()),
            "Export safetensors (-o NAME.safetensors), or write maps with terrane predict.");
    }
    nets::NetworkInputs inputs = network_inputs(description, sizes.batch, description.crop);
    if (sizes.height > 0) inputs.height = sizes.height;
    if (sizes.width > 0) inputs.width = sizes.width;
    const graph::Graph graph =
        nets::build_network(description.model, {}, inputs, nets::Task::predict, DType::f32);

    const weights::SafetensorsReader reader(model);
    onnx::OnnxModel file;
    const auto numbers = [&](const std::string& name, const Shape& shape) {
        std::vector<float> values(static_cast<std::size_t>(shape.elements()));
        reader.read(reader.require(name, {DType::f32, shape}), std::as_writable_bytes(std::span(values)));
        return values;
    };
    onnx::graph_to_onnx(graph, numbers, file);
    file.property(model_description_key, description.to_json());
    write_file_atomically(path, file.bytes());
}

}  // namespace terrane::train
