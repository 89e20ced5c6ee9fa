#include "train/model_description.hpp"

#include <nlohmann/json.hpp>

namespace terrane::train {

namespace {

using Json = nlohmann::ordered_json;

// One list of the model's fields for both directions.
template <typename Model, typename Field>
void each_field(Model& model, const Field& field) {
    field("name", model.name);
    field("encoder", model.encoder);
    field("encoder_width", model.encoder_width);
    field("output_stride", model.output_stride);
    field("norm", model.norm);
    field("modality_dropout", model.modality_dropout);
    field("decoder_channels", model.decoder_channels);
    field("decoder_stride", model.decoder_stride);
    field("aspp_channels", model.aspp_channels);
    field("aspp_rates", model.aspp_rates);
    field("dropout", model.dropout);
    field("pyramid.stem", model.pyramid.stem);
    field("pyramid.channels", model.pyramid.channels);
    field("pyramid.bins", model.pyramid.bins);
    field("pyramid.rates", model.pyramid.rates);
    field("pyramid.auxiliary_weight", model.pyramid.auxiliary_weight);
    field("pyramid.align_corners", model.pyramid.align_corners);
    field("atrous.rates", model.atrous.rates);
    field("atrous.grid", model.atrous.grid);
    field("diffusion.width", model.diffusion.width);
    field("diffusion.heads", model.diffusion.heads);
    field("diffusion.cadef", model.diffusion.cadef);
    field("diffusion.height", model.diffusion.height);
    field("diffusion.gate", model.diffusion.gate);
    field("diffusion.border", model.diffusion.border);
    field("diffusion.dsm_norm", model.diffusion.dsm_norm);
    field("diffusion.preset", model.diffusion.preset);
    field("diffusion.timesteps", model.diffusion.timesteps);
    field("diffusion.scales", model.diffusion.scales);
    field("diffusion.max_patch", model.diffusion.max_patch);
    field("diffusion.state", model.diffusion.state);
    field("diffusion.state_softmax", model.diffusion.state_softmax);
    field("diffusion.update", model.diffusion.update);
    field("diffusion.patch_reduce", model.diffusion.patch_reduce);
    field("diffusion.void_pixels", model.diffusion.void_pixels);
    field("diffusion.least_sum", model.diffusion.least_sum);
    field("diffusion.pk_weight", model.diffusion.pk_weight);
    field("diffusion.pk_bandwidth", model.diffusion.pk_bandwidth);
    field("diffusion.pk_samples", model.diffusion.pk_samples);
    field("diffusion.pk_measure", model.diffusion.pk_measure);
    field("diffusion.pk_scope", model.diffusion.pk_scope);
    field("diffusion.pk_targets", model.diffusion.pk_targets);
    field("diffusion.pk_estimator", model.diffusion.pk_estimator);
    field("diffusion.ce_weight", model.diffusion.ce_weight);
    field("diffusion.dice_weight", model.diffusion.dice_weight);
    field("diffusion.ensemble", model.diffusion.ensemble);
    field("vit.image", model.vit.image);
    field("vit.patch", model.vit.patch);
    field("vit.depth", model.vit.depth);
    field("vit.width", model.vit.width);
    field("vit.heads", model.vit.heads);
    field("vit.mlp_ratio", model.vit.mlp_ratio);
    field("vit.epsilon", model.vit.epsilon);
    field("vit.dropout", model.vit.dropout);
    field("vit.taps", model.vit.taps);
    field("vit.head", model.vit.head);
    field("vit.auxiliary_weight", model.vit.auxiliary_weight);
}

Json json_of(const device::BandNormalisation& band) {
    return {{"multiply", band.multiply},   {"add", band.add},   {"clip_low", band.clip_low},
            {"clip_high", band.clip_high}, {"mean", band.mean}, {"inverse_deviation", band.inverse_deviation},
            {"invalid", band.invalid}};
}

device::BandNormalisation band_of(const Json& json) {
    return {json.at("multiply").get<float>(), json.at("add").get<float>(),
            json.at("clip_low").get<float>(), json.at("clip_high").get<float>(),
            json.at("mean").get<float>(),     json.at("inverse_deviation").get<float>(),
            json.value("invalid", 0.0f)};
}

data::ModalityLayout modality_of(const Json& json) {
    data::ModalityLayout modality;
    modality.name = json.at("name").get<std::string>();
    modality.dtype = dtype_from_name(json.at("dtype").get<std::string>());
    modality.scale = json.at("scale").get<std::int64_t>();
    for (const Json& band : json.at("bands")) modality.normalisation.push_back(band_of(band));
    modality.bands = static_cast<std::int64_t>(modality.normalisation.size());
    return modality;
}

}  // namespace

std::string ModelDescription::to_json() const {
    Json json;
    json["format"] = 1;
    each_field(model, [&](const char* key, const auto& value) { json["model"][key] = value; });
    json["crop"] = crop;
    json["modalities"] = Json::array();
    for (const data::ModalityLayout& modality : modalities) {
        Json bands = Json::array();
        for (const device::BandNormalisation& band : modality.normalisation) bands.push_back(json_of(band));
        json["modalities"].push_back({{"name", modality.name},
                                      {"dtype", std::string(name_of(modality.dtype))},
                                      {"scale", modality.scale},
                                      {"bands", bands}});
    }
    json["classes"] = Json::array();
    for (const config::Class& entry : classes) {
        json["classes"].push_back({{"id", entry.id}, {"name", entry.name}, {"color", entry.color}});
    }
    return json.dump();
}

ModelDescription ModelDescription::from_json(const std::string& text, const std::string& file) {
    try {
        const Json json = Json::parse(text);
        ModelDescription result;
        if (json.at("format").get<int>() != 1)
            throw Error(ExitCode::data_invalid, 604, "its format is newer");
        const Json& model = json.at("model");
        // A key that a newer version added keeps its default: older weights go on working.
        each_field(result.model, [&](const char* key, auto& value) {
            if (model.contains(key)) model.at(key).get_to(value);
        });
        result.crop = json.at("crop").get<std::int64_t>();
        for (const Json& modality : json.at("modalities")) result.modalities.push_back(modality_of(modality));
        for (const Json& entry : json.at("classes")) {
            config::Class parsed;
            parsed.id = entry.at("id").get<std::int64_t>();
            parsed.name = entry.at("name").get<std::string>();
            parsed.color = entry.at("color").get<std::array<int, 3>>();
            result.classes.push_back(parsed);
        }
        return result;
    } catch (const std::exception& error) {
        throw Error(ExitCode::data_invalid, 604,
                    fmt::format("{}: the description of the model can't be used: {}.", file, error.what()),
                    "Use weights written by this version of terrane.");
    }
}

}  // namespace terrane::train
