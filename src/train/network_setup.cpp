#include "train/network_setup.hpp"

namespace terrane::train {

nets::NetworkInputs network_inputs(const data::TileLayout& layout, std::int64_t batch, std::int64_t edge) {
    nets::NetworkInputs inputs;
    for (const data::ModalityLayout& modality : layout.modalities) {
        inputs.modalities.push_back({modality.name, modality.bands, modality.scale});
    }
    inputs.classes = layout.classes;
    inputs.batch = batch;
    inputs.height = edge;
    inputs.width = edge;
    return inputs;
}

nets::NetworkInputs network_inputs(const ModelDescription& model, std::int64_t batch, std::int64_t edge) {
    data::TileLayout layout;
    layout.classes = static_cast<std::int64_t>(model.classes.size());
    layout.modalities = model.modalities;
    return network_inputs(layout, batch, edge);
}

DType compute_type(const std::string& precision) {
    if (precision == "fp32" || precision == "tf32") return DType::f32;
    if (precision == "bf16") return DType::bf16;
    if (precision == "fp16") return DType::f16;
    throw Error(ExitCode::config_invalid, 511, fmt::format("train.precision \"{}\" is unknown.", precision),
                "Choose fp32, tf32, bf16 or fp16.");
}

void enter_precision(device::Backend& backend, const std::string& precision) {
    if (!backend.computes_in(compute_type(precision))) {
        throw Error(
            ExitCode::device_unavailable, 722,
            fmt::format("The {} backend can't run networks in {}.", backend.name(), precision),
            "Set train.precision = \"bf16\" or \"fp32\", or use --device cuda on a machine with a GPU.");
    }
    using device::Float32Products;
    backend.set_float32_products(precision == "tf32" ? Float32Products::tf32 : Float32Products::exact);
}

data::InputSlots input_slots(const recipe::InputPorts& ports, const data::TileLayout& layout) {
    data::InputSlots slots;
    for (const data::ModalityLayout& modality : layout.modalities) {
        slots.modalities.push_back(ports.input(modality.name));
    }
    slots.presence = ports.input("presence");
    slots.labels = ports.input("labels");
    for (const std::string& map : layout.maps) slots.maps.push_back(ports.input(map));
    return slots;
}

}  // namespace terrane::train
