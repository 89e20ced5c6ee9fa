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

DType compute_type(const std::string& precision) {
    if (precision == "fp32") return DType::f32;
    if (precision == "bf16") return DType::bf16;
    throw Error(ExitCode::config_invalid, 511, fmt::format("train.precision \"{}\" is unknown.", precision),
                "Choose fp32 or bf16.");
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
