#include "train/model_import.hpp"

#include <deque>

#include "train/model_files.hpp"
#include "weights/safetensors.hpp"

namespace terrane::train {

namespace fs = std::filesystem;

namespace {

constexpr const char* layout_key = "terrane.layout";
constexpr const char* native_layout = "nhwc";

weights::WeightLayout layout_of(const weights::TensorFile& file) {
    const auto& metadata = file.metadata();
    const auto layout = metadata.find(layout_key);
    const bool native = metadata.contains(model_description_key) ||
                        (layout != metadata.end() && layout->second == native_layout);
    return native ? weights::WeightLayout::terrane : weights::WeightLayout::pytorch;
}

std::vector<weights::ImportTarget> targets_of(const graph::ParameterStore& store) {
    std::vector<weights::ImportTarget> targets;
    for (const auto& entry : store.entries()) targets.push_back({entry.name, entry.shape});
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) targets.push_back({state.name, state.spec.shape});
    }
    return targets;
}

TensorView destination_of(const graph::ParameterStore& store, const std::string& name) {
    const graph::ParameterStore::Entry* entry = store.find(name);
    return entry != nullptr ? store.parameter(*entry) : store.state(name);
}

}  // namespace

std::vector<weights::ImportTarget> import_targets(const graph::Graph& graph) {
    std::vector<weights::ImportTarget> targets;
    for (const graph::Value& value : graph.values) {
        const bool parameter = value.kind == graph::ValueKind::parameter;
        const bool state = value.kind == graph::ValueKind::state && value.saved == graph::Saved::yes;
        if (parameter || state) targets.push_back({value.name, value.spec.shape});
    }
    return targets;
}

fs::path weights_to_load(const config::Import& rules, const fs::path& weights) {
    return rules.missing == "warn" && !fs::exists(weights) ? fs::path() : weights;
}

bool loads_strictly(const config::Import& rules, const fs::path& weights) {
    if (rules.match != "auto") return rules.match == "strict";
    if (fs::is_directory(weights)) return true;
    const auto file = weights::open_tensor_file(weights, {rules.part});
    return file->metadata().contains(model_description_key);
}

std::set<std::string> names_that_load(const config::Import& rules, const fs::path& weights,
                                      const graph::Graph& graph) {
    if (weights.empty()) return {};
    const auto file = weights::open_tensor_file(model_file_of(weights), {rules.part});
    return plan_model_import(rules, *file, import_targets(graph)).loaded_names();
}

weights::ImportPlan plan_model_import(const config::Import& rules, const weights::TensorFile& file,
                                      std::vector<weights::ImportTarget> targets) {
    weights::ImportOptions options;
    options.layout = layout_of(file);
    options.positions =
        rules.positions == "bicubic" ? weights::PositionResize::bicubic : weights::PositionResize::bilinear;
    options.bands = rules.bands == "zero" ? weights::BandExtension::zero : weights::BandExtension::repeat;
    weights::ImportPlan plan = weights::plan_import(file, std::move(targets), options);
    if (!plan.items.empty()) return plan;
    std::string some;
    for (std::size_t i = 0; i < std::min<std::size_t>(file.tensors().size(), 3); ++i) {
        some += (i == 0 ? "" : ", ") + file.tensors()[i].name;
    }
    throw Error(ExitCode::data_invalid, 624,
                fmt::format("{}: none of its {} tensors ({} ...) fits the network.", file.file(),
                            file.tensors().size(), some),
                "Choose the network that the weights are for, or another part of the file with import.part.");
}

weights::ImportPlan import_model(const config::Import& rules, const fs::path& file,
                                 const graph::ParameterStore& store, device::Backend& backend) {
    const auto opened = weights::open_tensor_file(file, {rules.part});
    weights::ImportPlan plan = plan_model_import(rules, *opened, targets_of(store));
    for (const weights::ImportItem& item : plan.items) {
        const TensorView destination = destination_of(store, plan.targets[item.target].name);
        TERRANE_ASSERT(destination.dtype() == DType::f32, "{} is not f32", plan.targets[item.target].name);
        const std::vector<float> values = weights::import_values(*opened, plan, item);
        backend.copy_to_device(destination.data, reinterpret_cast<const std::byte*>(values.data()),
                               destination.bytes());
    }
    return plan;
}

void write_imported(const fs::path& path, const weights::TensorFile& file, const weights::ImportPlan& plan) {
    weights::SafetensorsWriter writer;
    std::deque<std::vector<float>> memory;
    for (const weights::ImportItem& item : plan.items) {
        const weights::ImportTarget& target = plan.targets[item.target];
        std::vector<float>& values = memory.emplace_back(weights::import_values(file, plan, item));
        writer.add(target.name, {reinterpret_cast<std::byte*>(values.data()), {DType::f32, target.shape}});
    }
    writer.add_metadata("format", "pt");
    writer.add_metadata(layout_key, native_layout);
    writer.add_metadata("terrane.import", plan.to_json());
    writer.write(path);
}

}  // namespace terrane::train
