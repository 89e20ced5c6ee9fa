// For packages.py and onnx_parity.py; files of inputs are safetensors, maps NHWC:
// - run_network random MODEL ENCODER NORM FILE: writes random weights of a small network with its description
// - run_network predict FILE INPUTS OUT: runs it on the modalities in INPUTS
// - run_network resnet50 WEIGHTS INPUTS OUT: the last map of a ResNet-50 (stride 32) with foreign weights
// - run_network vit MODEL WEIGHTS INPUTS OUT: what each block of a SETR network's ViT-B/16 gives to the
//   decoder, with foreign weights; the last two print the report of the import as JSON
#include <cstdio>

#include "base/philox.hpp"
#include "cpu/backend.hpp"
#include "graph/program.hpp"
#include "nets/early_fusion.hpp"
#include "nets/network.hpp"
#include "nets/resnet.hpp"
#include "train/model_files.hpp"
#include "train/model_import.hpp"
#include "weights/safetensors.hpp"

namespace {

using namespace terrane;

constexpr std::int64_t edge = 64;

train::ModelDescription small_model(const std::string& name, const std::string& encoder,
                                    const std::string& norm) {
    train::ModelDescription description;
    description.model.name = name;
    description.model.encoder = encoder;
    description.model.norm = norm;
    description.model.encoder_width = 16;
    description.model.vit.depth = 4;
    description.model.vit.width = 24;
    description.model.vit.heads = 3;
    description.crop = edge;
    for (const auto& [modality, bands, scale] : {std::tuple{"optical", 3, 1}, std::tuple{"height", 1, 2}}) {
        data::ModalityLayout layout;
        layout.name = modality;
        layout.dtype = DType::f32;
        layout.bands = bands;
        layout.scale = scale;
        layout.normalisation.resize(static_cast<std::size_t>(bands));
        description.modalities.push_back(layout);
    }
    for (int i = 0; i < 5; ++i) description.classes.push_back({i, "class" + std::to_string(i), {i, i, i}, 0});
    return description;
}

nets::NetworkInputs inputs_of(const train::ModelDescription& description) {
    nets::NetworkInputs inputs;
    for (const auto& layout : description.modalities)
        inputs.modalities.push_back({layout.name, layout.bands, layout.scale});
    inputs.classes = static_cast<std::int64_t>(description.classes.size());
    inputs.height = inputs.width = description.crop;
    return inputs;
}

/// Values no layer is indifferent to: noise on norms, biases and statistics.
void randomise(graph::ParameterStore& store) {
    for (const auto& entry : store.entries()) {
        if (entry.shape.rank() != 1) continue;
        PhiloxStream random(5, stream_of(entry.name));
        for (float& value : store.parameter(entry).span<float>())
            value += static_cast<float>(0.2 * random.normal());
    }
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::no) continue;
        PhiloxStream random(6, stream_of(state.name));
        for (float& value : state.view().span<float>()) value += static_cast<float>(0.3 * random.uniform());
    }
}

void fill(graph::Program& program, const std::string& name, const weights::SafetensorsReader& reader) {
    const TensorView slot = program.input(name);
    std::vector<std::byte> bytes(slot.bytes());
    reader.read(reader.require(name, slot.spec), bytes);
    std::copy(bytes.begin(), bytes.end(), slot.data);
}

void write(const std::string& path, const std::string& name, const TensorView& view) {
    weights::SafetensorsWriter writer;
    writer.add(name, view);
    writer.write(path);
}

void write_random(const train::ModelDescription& description, const std::string& path) {
    const auto backend = cpu::make_cpu_backend();
    const graph::Graph graph =
        nets::build_network(description.model, {}, inputs_of(description), nets::Task::train, DType::f32);
    graph::ParameterStore store(*backend, graph);
    store.initialise(3);
    randomise(store);
    train::save_model(path, store, *backend, description);
}

void predict(const std::string& file, const std::string& inputs, const std::string& out) {
    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    const train::ModelDescription description = *train::read_model_description(file);
    graph::Graph graph =
        nets::build_network(description.model, {}, inputs_of(description), nets::Task::predict, DType::f32);
    graph::ParameterStore store(*backend, graph);
    train::load_model(file, store, *backend);
    graph::Program program(graph::plan_program(std::move(graph), *backend), *backend, store, alone);
    program.parameters_changed();
    const weights::SafetensorsReader reader{std::filesystem::path(inputs)};
    for (const auto& layout : description.modalities) fill(program, layout.name, reader);
    fill(program, "presence", reader);
    program.run_forward({});
    write(out, "probabilities", program.output("probabilities"));
}

void resnet50(const std::string& file, const std::string& inputs, const std::string& out) {
    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    graph::GraphBuilder build(device::Mode::inference, DType::f32);
    graph::ValueId x = build.input("image", {DType::f32, {2, 64, 64, 3}});
    const nets::ResNetDesign design = nets::resnet_from_name("resnet50", 64);
    const nets::ResNetEncoder encoder(design, nets::NormKind::batch,
                                      nets::layout_for_output_stride(design, 1, 32));
    x = encoder.stem(build, x);
    for (int stage = 1; stage <= 4; ++stage) x = encoder.stage(build, stage, x);
    build.output("features", x);
    graph::Graph graph = build.finish();
    graph::ParameterStore store(*backend, graph);
    const weights::ImportPlan plan = train::import_model({}, file, store, *backend);
    std::printf("%s\n", plan.to_json().c_str());
    graph::Program program(graph::plan_program(std::move(graph), *backend), *backend, store, alone);
    program.parameters_changed();
    fill(program, "image", weights::SafetensorsReader{std::filesystem::path(inputs)});
    program.run_forward({});
    write(out, "features", program.output("features"));
}

void vision_transformer(const std::string& network, const std::string& file, const std::string& inputs,
                        const std::string& out) {
    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    config::Model model;
    model.name = network;
    const nets::NetworkInputs sizes{
        .modalities = {{"image", 3, 1}}, .classes = 2, .batch = 1, .height = 224, .width = 224};
    graph::Graph graph = nets::build_network(model, {}, sizes, nets::Task::predict, DType::f32);
    std::vector<std::string> taps;
    for (std::size_t i = 0; i < graph.values.size(); ++i) {
        const std::string& name = graph.values[i].name;
        if (!name.ends_with(".ffn.sum") && !name.ends_with(".mlp.sum")) continue;
        taps.push_back("block" + std::to_string(taps.size()));
        graph.outputs.emplace_back(taps.back(), graph::ValueId{static_cast<int>(i)});
    }
    graph::ParameterStore store(*backend, graph);
    const weights::ImportPlan plan = train::import_model({}, file, store, *backend);
    std::printf("%s\n", plan.to_json().c_str());
    graph::Program program(graph::plan_program(std::move(graph), *backend), *backend, store, alone);
    program.parameters_changed();
    fill(program, "image", weights::SafetensorsReader{std::filesystem::path(inputs)});
    for (float& there : program.input("presence").span<float>()) there = 1;
    program.run_forward({});
    weights::SafetensorsWriter writer;
    for (const std::string& tap : taps) writer.add(tap, program.output(tap));
    writer.write(out);
}

}  // namespace

int main(int count, char** arguments) {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    try {
        if (words.size() == 5 && words[0] == "random") {
            write_random(small_model(words[1], words[2], words[3]), words[4]);
        } else if (words.size() == 4 && words[0] == "predict") {
            predict(words[1], words[2], words[3]);
        } else if (words.size() == 4 && words[0] == "resnet50") {
            resnet50(words[1], words[2], words[3]);
        } else if (words.size() == 5 && words[0] == "vit") {
            vision_transformer(words[1], words[2], words[3], words[4]);
        } else {
            return 2;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
