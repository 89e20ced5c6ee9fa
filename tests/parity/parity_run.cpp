#include "parity_run.hpp"

#include "base/philox.hpp"
#include "config/resolve.hpp"
#include "config/weak_maps.hpp"
#include "cpu/backend.hpp"
#include "optim/parameter_groups.hpp"
#include "support/one_update.hpp"

namespace terrane::parity {

Case read_case(const std::string& path) {
    Case parity;
    parity.config = config::resolve(config::read_config_files({path}), {}, {}).config;
    config::Config& config = parity.config;
    config.model = nets::completed(config.model);
    for (const config::Modality& modality : config.modalities) {
        parity.inputs.modalities.push_back(
            {modality.name, static_cast<std::int64_t>(modality.bands.size()), modality.scale});
    }
    parity.inputs.background = config::background_index(config.classes);
    parity.inputs.classes = static_cast<std::int64_t>(config.classes.size());
    parity.inputs.batch = config.train.global_batch;
    parity.inputs.height = config.grid.tile;
    parity.inputs.width = config.augment.crop > 0 ? config.augment.crop : config.grid.tile;
    return parity;
}

namespace {

void randomise_vectors(const graph::ParameterStore& store, std::uint64_t seed) {
    for (const auto& entry : store.entries()) {
        if (entry.shape.rank() != 1) continue;
        PhiloxStream random(100 + seed, stream_of(entry.name));
        // Residual branches begin small, as where their last norms start at zero: with scales around one,
        // fifty layers magnify rounding until ReLUs open differently in fp32 and fp64.
        const bool ends_branch = entry.name.starts_with("layer") && entry.name.ends_with(".bn3.weight");
        for (float& value : store.parameter(entry).span<float>())
            value = (ends_branch ? 0.2f : 1.0f) * (value + static_cast<float>(0.2 * random.normal()));
    }
}

std::vector<device::UpdateSegment> segments_of(const graph::ParameterStore& store,
                                               const config::Optim& optim) {
    std::vector<optim::ParameterPlace> places;
    for (const auto& entry : store.entries()) {
        if (entry.trainable == graph::Trainable::yes)
            places.push_back({entry.name, entry.shape, entry.offset});
    }
    return optim::group_parameters(places, optim.groups, optim::decay_scope_from_name(optim.decay)).segments;
}

/// Labels in squares of 12 pixels, so that whole neighbourhoods are background.
void fill_squares(const TensorView& map, std::uint32_t classes, PhiloxStream& random) {
    constexpr std::int64_t edge = 12;
    const std::int64_t height = map.shape()[1], width = map.shape()[2];
    const std::int64_t columns = (width + edge - 1) / edge, rows = (height + edge - 1) / edge;
    std::vector<std::uint8_t> squares(static_cast<std::size_t>(map.shape()[0] * rows * columns));
    for (auto& square : squares) {
        const auto draw = random.below(2 * classes);
        square = draw >= classes ? std::uint8_t{0} : static_cast<std::uint8_t>(draw);
    }
    for (std::int64_t i = 0; i < map.elements(); ++i) {
        const std::int64_t n = i / (height * width), y = i / width % height, x = i % width;
        map.as<std::uint8_t>()[i] =
            squares[static_cast<std::size_t>((n * rows + y / edge) * columns + x / edge)];
    }
}

}  // namespace

Run::Run(const Case& parity, std::uint64_t seed)
    : parity_(parity), seed_(seed), backend_(cpu::make_cpu_backend()) {
    const config::Config& config = parity.config;
    graph::Graph network =
        nets::build_network(config.model, config.loss, parity.inputs, nets::Task::train, DType::f32);
    for (const graph::Value& value : network.values) {
        if (value.kind == graph::ValueKind::input) inputs_.push_back(value.name);
    }
    for (const auto& [name, id] : network.outputs) {
        if (network.value(id).spec.dtype == DType::f32) maps_.push_back(name);
    }
    for (const graph::ValueId id : network.losses) {
        losses_.push_back(network.value(id).name);
        network.outputs.emplace_back(losses_.back(), id);
    }
    store_ = std::make_unique<graph::ParameterStore>(*backend_, network);
    store_->initialise(seed);
    randomise_vectors(*store_, seed);
    program_ = std::make_unique<graph::Program>(graph::plan_program(std::move(network), *backend_), *backend_,
                                                *store_, alone_);
    program_->parameters_changed();
    optimizer_ = std::make_unique<optim::Optimizer>(
        config.optim, segments_of(*store_, config.optim),
        static_cast<std::int64_t>(store_->trainable_values().size()), *backend_);
    schedule_ = std::make_unique<optim::Schedule>(config.optim, config.optim.lr,
                                                  optim::RunLength{config.train.steps, config.train.steps});
}

void Run::fill_inputs(std::int64_t batch) {
    const std::uint64_t seed = seed_ + 1000 * static_cast<std::uint64_t>(batch);
    const auto classes = static_cast<std::uint32_t>(parity_.inputs.classes);
    for (const std::string& name : inputs_) {
        const TensorView input = program_->input(name);
        PhiloxStream random(seed, stream_of(name));
        if (name == "presence") {
            for (float& value : input.span<float>()) value = 1;
            // Sample 0 lacks the second modality.
            if (parity_.inputs.modalities.size() > 1) input.span<float>()[1] = 0;
        } else if (name.ends_with("_distance")) {
            for (auto& distance : input.span<std::uint8_t>()) {
                distance =
                    random.below(4) == 0 ? std::uint8_t{0} : static_cast<std::uint8_t>(random.below(256));
            }
        } else if (name == "pseudo") {
            fill_squares(input, classes, random);
        } else if (input.dtype() == DType::u8) {
            for (auto& label : input.span<std::uint8_t>()) {
                const auto draw = random.below(classes + 1);
                label = draw == classes ? std::uint8_t{255} : static_cast<std::uint8_t>(draw);
            }
        } else {
            for (float& value : input.span<float>()) value = static_cast<float>(random.normal());
        }
    }
}

void Run::forward_backward() {
    program_->run_training({.seed = seed_, .step = step_, .first_sample = 0}, {});
    totals_ = program_->losses();
}

double Run::update() {
    const double rate = schedule_->rate(step_);
    test::update(*optimizer_, store_->trainable_values(), store_->gradient_values(), totals_.normaliser,
                 rate);
    program_->parameters_changed();
    ++step_;
    return rate;
}

std::map<std::string, double> Run::losses() const {
    std::map<std::string, double> values;
    for (const std::string& name : losses_) {
        values[name] = program_->output(name).as<double>()[0] / totals_.normaliser;
    }
    return values;
}

std::string group_of(const std::string& name) {
    const std::string module = name.substr(0, name.rfind('.'));
    const std::size_t first = module.find('.');
    return first == std::string::npos ? module : module.substr(0, module.find('.', first + 1));
}

}  // namespace terrane::parity
