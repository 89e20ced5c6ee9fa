#include "app/network_inputs.hpp"

#include <charconv>

#include "config/weak_maps.hpp"

namespace terrane::app {

namespace {

std::int64_t positive(const std::string& text, const std::string& whole) {
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc{} || end != text.data() + text.size() || value < 1 || value > 65536) {
        throw Error(ExitCode::usage, 108,
                    fmt::format("--modality {} is not NAME:BANDS or NAME:BANDS:SCALE.", whole),
                    "For example --modality optical:4 or --modality height:1:2.");
    }
    return value;
}

nets::ModalityInput parse_modality(const std::string& text) {
    const auto first = text.find(':');
    const auto second = first == std::string::npos ? first : text.find(':', first + 1);
    nets::ModalityInput modality;
    modality.name = text.substr(0, first);
    modality.bands =
        positive(first == std::string::npos ? "" : text.substr(first + 1, second - first - 1), text);
    modality.scale = second == std::string::npos ? 1 : positive(text.substr(second + 1), text);
    return modality;
}

std::vector<nets::ModalityInput> modalities_of(const Invocation& invocation) {
    std::vector<nets::ModalityInput> modalities;
    for (const std::string& text : invocation.list("modality")) modalities.push_back(parse_modality(text));
    if (modalities.empty() && invocation.has("bands"))
        modalities.push_back({"optical", invocation.integer("bands", 3), 1});
    if (!modalities.empty()) return modalities;
    for (const config::Modality& modality : invocation.config().modalities) {
        if (modality.bands.empty()) {
            throw Error(
                ExitCode::config_invalid, 544,
                fmt::format("how many bands modality {} has is not in the configuration.", modality.name),
                fmt::format("Give --modality {}:BANDS:{} for each modality, or list its bands.",
                            modality.name, modality.scale));
        }
        modalities.push_back(
            {modality.name, static_cast<std::int64_t>(modality.bands.size()), modality.scale});
    }
    if (modalities.empty()) modalities.push_back({"optical", 3, 1});
    return modalities;
}

}  // namespace

std::vector<VerbOption> network_input_options() {
    return {
        {.name = "modality",
         .argument = Argument::many,
         .value_name = "NAME:BANDS[:SCALE]",
         .help = "an input"},
        {.name = "bands", .value_name = "N", .help = "bands of a single optical modality"},
        {.name = "classes", .value_name = "N", .help = "number of classes"},
        {.name = "batch", .value_name = "N", .help = "samples per rank and step"},
        {.name = "size", .value_name = "PIXELS", .help = "edge of the training crop"},
    };
}

nets::NetworkInputs network_inputs(const Invocation& invocation) {
    const config::Config& config = invocation.config();
    const auto classes =
        config.classes.empty() ? std::int64_t{6} : static_cast<std::int64_t>(config.classes.size());
    const std::int64_t crop = config.augment.crop > 0 ? config.augment.crop : config.grid.tile;
    const std::int64_t batch = config.train.batch > 0 ? config.train.batch : config.train.global_batch;
    nets::NetworkInputs inputs;
    inputs.modalities = modalities_of(invocation);
    inputs.classes = invocation.integer("classes", classes);
    inputs.background = config::background_index(config.classes);
    inputs.batch = invocation.integer("batch", batch);
    inputs.height = inputs.width = invocation.integer("size", crop);
    return inputs;
}

}  // namespace terrane::app
