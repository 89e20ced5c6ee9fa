// Runs one training step of duet with random weights and inputs and writes everything a twin needs to repeat
// it:
//   parity_dump CASE SEED FILE
// weights and states under their own names with "before:", inputs "input:", gradients "gradient:" (divided by
// the loss's normaliser), states afterwards "after:", "logits" and "loss".

#include <cmath>
#include <cstdio>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/philox.hpp"
#include "cpu/backend.hpp"
#include "graph/program.hpp"
#include "nets/network.hpp"
#include "weights/safetensors.hpp"

namespace {

using namespace terrane;

struct Case {
    config::Model model;
    nets::NetworkInputs inputs;
};

Case case_called(const std::string& name) {
    Case parity;
    parity.model.dropout = 0;
    parity.model.aspp_rates = {2, 3, 5};
    parity.inputs = {.modalities = {{"optical", 4, 1}, {"height", 1, 2}, {"sar", 2, 4}},
                     .classes = 7,
                     .batch = 2,
                     .height = 64,
                     .width = 48};
    if (name == "bottleneck") parity.model.encoder = "resnet50";
    if (name == "single_modality") parity.inputs.modalities = {{"optical", 3, 1}};
    if (name == "group_norm") parity.model.norm = "group";
    if (name == "output_stride_8") {
        parity.model.output_stride = 8;
        parity.model.encoder_width = 32;
        parity.model.decoder_stride = 4;
        parity.model.encoder = "resnet34";
    }
    return parity;
}

/// Values no layer is indifferent to: noise on the initial scales (1, or 0 at the end of a residual block)
/// and biases.
void randomise_norms(graph::ParameterStore& store, std::uint64_t seed) {
    for (const auto& entry : store.entries()) {
        if (entry.shape.rank() != 1) continue;
        PhiloxStream random(100 + seed, stream_of(entry.name));
        for (float& value : store.parameter(entry).span<float>())
            value += static_cast<float>(0.2 * random.normal());
    }
}

void fill_inputs(const Case& parity, graph::Program& program, std::uint64_t seed) {
    for (const auto& modality : parity.inputs.modalities) {
        PhiloxStream random(seed, stream_of(modality.name));
        for (float& value : program.input(modality.name).span<float>())
            value = static_cast<float>(random.normal());
    }
    auto presence = program.input("presence").span<float>();
    for (float& value : presence) value = 1;
    if (parity.inputs.modalities.size() > 1) presence[1] = 0;  // sample 0 lacks the second modality
    PhiloxStream random(seed, stream_of("labels"));
    for (auto& label : program.input("labels").span<std::uint8_t>()) {
        const auto draw = random.below(static_cast<std::uint32_t>(parity.inputs.classes) + 1);
        label = draw == static_cast<std::uint32_t>(parity.inputs.classes) ? std::uint8_t{255}
                                                                          : static_cast<std::uint8_t>(draw);
    }
}

class Dump {
  public:
    void copy(const std::string& name, const TensorView& view, double scale = 1) {
        auto& bytes = copies_.emplace_back(view.data, view.data + view.bytes());
        const TensorView own{bytes.data(), view.spec};
        if (view.dtype() == DType::f32 && scale != 1) {
            for (float& value : own.span<float>()) value = static_cast<float>(value * scale);
        }
        writer_.add(name, own);
    }
    void write(const std::string& path) { writer_.write(path); }

  private:
    std::deque<std::vector<std::byte>> copies_;
    weights::SafetensorsWriter writer_;
};

void run(const Case& parity, std::uint64_t seed, const std::string& path) {
    const auto backend = cpu::make_cpu_backend();
    device::SingleRank alone;
    graph::Graph network =
        nets::build_network(parity.model, {}, parity.inputs, nets::Task::train, DType::f32);
    graph::ParameterStore store(*backend, network);
    store.initialise(seed);
    randomise_norms(store, seed);
    graph::Program program(graph::plan_program(std::move(network), *backend), *backend, store, alone);
    program.parameters_changed();
    fill_inputs(parity, program, seed);

    Dump dump;
    for (const auto& entry : store.entries()) dump.copy("before:" + entry.name, store.parameter(entry));
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) dump.copy("before:" + state.name, state.view());
    }
    for (const auto& modality : parity.inputs.modalities)
        dump.copy("input:" + modality.name, program.input(modality.name));
    dump.copy("input:presence", program.input("presence"));
    dump.copy("input:labels", program.input("labels"));

    program.run_training({}, {});
    const graph::LossTotals totals = program.losses();
    double loss = totals.sum / totals.normaliser;
    dump.copy("loss", {reinterpret_cast<std::byte*>(&loss), {DType::f64, Shape{1}}});
    dump.copy("logits", program.output("logits"));
    for (const auto& entry : store.entries()) {
        dump.copy("gradient:" + entry.name, store.gradient(entry), 1 / totals.normaliser);
    }
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes) dump.copy("after:" + state.name, state.view());
    }
    dump.write(path);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: parity_dump CASE SEED FILE\n");
        return 2;
    }
    try {
        run(case_called(argv[1]), std::stoull(argv[2]), argv[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
