#include "train/model_files.hpp"

#include <deque>
#include <set>

#include "nets/network.hpp"
#include "train/checkpoint_folder.hpp"
#include "weights/safetensors.hpp"

namespace terrane::train {

namespace {

// Copies device tensors to the host and keeps the copies until the file is written.
class HostCopies {
  public:
    explicit HostCopies(device::Backend& backend) : backend_(backend) {}

    TensorView of(const TensorView& tensor) {
        std::vector<std::byte>& copy = copies_.emplace_back(tensor.bytes());
        backend_.copy_to_host(copy.data(), tensor.data, copy.size());
        return {copy.data(), tensor.spec};
    }

  private:
    device::Backend& backend_;
    std::deque<std::vector<std::byte>> copies_;
};

void read_into(const weights::SafetensorsReader& reader, const std::string& name,
               const TensorView& destination, device::Backend& backend) {
    const weights::StoredTensor& tensor = reader.require(name, destination.spec);
    std::vector<std::byte> bytes(destination.bytes());
    reader.read(tensor, bytes);
    backend.copy_to_device(destination.data, bytes.data(), bytes.size());
}

// The part of a flat buffer that belongs to a parameter.
TensorView slice_of(std::span<float> values, const graph::ParameterStore::Entry& entry) {
    const auto part =
        values.subspan(static_cast<std::size_t>(entry.offset), static_cast<std::size_t>(entry.elements()));
    return {reinterpret_cast<std::byte*>(part.data()), {DType::f32, entry.shape}};
}

}  // namespace

std::vector<NamedTensor> model_tensors(const graph::ParameterStore& store) {
    std::vector<NamedTensor> tensors;
    for (const auto& entry : store.entries()) tensors.push_back({entry.name, store.parameter(entry)});
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) tensors.push_back({state.name, state.view()});
    }
    return tensors;
}

std::vector<NamedTensor> moment_tensors(const graph::ParameterStore& store, optim::Optimizer& optimizer) {
    std::vector<NamedTensor> tensors;
    for (const optim::Optimizer::Moment& moment : optimizer.moments()) {
        for (const auto& entry : store.entries()) {
            if (entry.trainable == graph::Trainable::no) continue;
            tensors.push_back({moment.name + "/" + entry.name, slice_of(moment.values, entry)});
        }
    }
    return tensors;
}

void write_model(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors,
                 const ModelDescription& description) {
    weights::SafetensorsWriter writer;
    for (const NamedTensor& tensor : tensors) writer.add(tensor.name, tensor.tensor);
    writer.add_metadata("format", "pt");
    writer.add_metadata(model_description_key, description.to_json());
    writer.write(file);
}

void write_moments(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors) {
    weights::SafetensorsWriter writer;
    for (const NamedTensor& tensor : tensors) writer.add(tensor.name, tensor.tensor);
    writer.write(file);
}

void save_model(const std::filesystem::path& file, const graph::ParameterStore& store,
                device::Backend& backend, const ModelDescription& description) {
    HostCopies copies(backend);
    std::vector<NamedTensor> tensors = model_tensors(store);
    for (NamedTensor& tensor : tensors) tensor.tensor = copies.of(tensor.tensor);
    write_model(file, tensors, description);
}

void load_model(const std::filesystem::path& file, const graph::ParameterStore& store,
                device::Backend& backend) {
    const weights::SafetensorsReader reader(file);
    std::set<std::string> expected;
    for (const auto& entry : store.entries()) {
        read_into(reader, entry.name, store.parameter(entry), backend);
        expected.insert(entry.name);
    }
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::no) continue;
        read_into(reader, state.name, state.view(), backend);
        expected.insert(state.name);
    }
    for (const weights::StoredTensor& tensor : reader.tensors()) {
        if (expected.count(tensor.name) != 0 || nets::exists_only_in_training(tensor.name)) continue;
        throw Error(
            ExitCode::data_invalid, 605,
            fmt::format("{} holds \"{}\", which the model does not have.", file.string(), tensor.name),
            "Use the configuration that the weights were trained with.");
    }
}

void load_moments(const std::filesystem::path& file, const graph::ParameterStore& store,
                  optim::Optimizer& optimizer, device::Backend& backend) {
    const weights::SafetensorsReader reader(file);
    for (const optim::Optimizer::Moment& moment : optimizer.moments()) {
        for (const auto& entry : store.entries()) {
            if (entry.trainable == graph::Trainable::no) continue;
            read_into(reader, moment.name + "/" + entry.name, slice_of(moment.values, entry), backend);
        }
    }
}

std::filesystem::path model_file_of(const std::filesystem::path& weights) {
    if (std::filesystem::is_directory(weights)) {
        verify_checkpoint(weights);
        return weights / "model.safetensors";
    }
    if (!std::filesystem::exists(weights)) {
        throw Error(ExitCode::input_missing, 902, fmt::format("there are no weights {}.", weights.string()),
                    "Give a checkpoint folder (runs/NAME/ckpt/best), a .safetensors or a .pth file.");
    }
    return weights;
}

std::optional<ModelDescription> read_model_description(const std::filesystem::path& file) {
    const weights::SafetensorsReader reader(file);
    const auto found = reader.metadata().find(model_description_key);
    if (found == reader.metadata().end()) return std::nullopt;
    return ModelDescription::from_json(found->second, file.string());
}

ModelDescription model_description(const std::filesystem::path& file) {
    if (auto description = read_model_description(file)) return *std::move(description);
    throw Error(ExitCode::data_invalid, 607,
                fmt::format("{} does not say how its network was built and fed.", file.string()),
                "Give a checkpoint of a training run of terrane.");
}

}  // namespace terrane::train
