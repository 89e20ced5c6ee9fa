#include "train/model_bundle.hpp"

#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/hash.hpp"
#include "graph/freeze.hpp"
#include "nets/network.hpp"
#include "train/model_files.hpp"
#include "train/network_setup.hpp"

namespace terrane::train {

namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

/// One asset of the bundle.
struct BundleFile {
    std::string key, file, title, type, artifact;
};

std::string utc_now() {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string band_name(const data::ModalityLayout& modality, std::int64_t band) {
    return fmt::format("{}-{}", modality.name, band + 1);
}

/// ((stored * multiply + add) - mean) * inverse_deviation, as mean and deviation of the stored numbers.
Json z_score(const device::BandNormalisation& band) {
    const double multiply = band.multiply == 0 ? 1 : static_cast<double>(band.multiply);
    return {{"type", "z-score"},
            {"mean", (static_cast<double>(band.mean) - static_cast<double>(band.add)) / multiply},
            {"stddev", 1 / (static_cast<double>(band.inverse_deviation) * multiply)}};
}

/// Batch, height and width that the network's file takes; -1: any.
struct InputShape {
    std::int64_t batch = -1;
    std::int64_t height = -1;
    std::int64_t width = -1;
};

std::int64_t at_scale(std::int64_t edge, std::int64_t scale) {
    return edge < 0 ? edge : edge / scale;
}

Json input_of(const data::ModalityLayout& modality, const InputShape& shape) {
    Json bands = Json::array(), scaling = Json::array();
    bool clipped = false;
    for (std::int64_t b = 0; b < modality.bands; ++b) {
        bands.push_back(band_name(modality, b));
        const device::BandNormalisation& band = modality.normalisation[static_cast<std::size_t>(b)];
        scaling.push_back(z_score(band));
        clipped = clipped || band.clip_low > -3e38f || band.clip_high < 3e38f;
    }
    return {{"name", modality.name},
            {"description",
             fmt::format("{} reference pixels per pixel; missing values become 0 after the scaling{}",
                         modality.scale,
                         clipped ? "; clipped before it, see terrane.model in the metadata "
                                   "of the files"
                                 : "")},
            {"bands", bands},
            {"input",
             {{"shape",
               {shape.batch, modality.bands, at_scale(shape.height, modality.scale),
                at_scale(shape.width, modality.scale)}},
              {"dim_order", {"batch", "channel", "height", "width"}},
              {"data_type", "float32"}}},
            {"norm_by_channel", true},
            {"value_scaling", scaling},
            {"resize_type", nullptr}};
}

Json presence_of(std::size_t modalities, const InputShape& shape) {
    return {{"name", "presence"},
            {"description", "1 for a modality that is there, 0 for one that is missing"},
            {"bands", Json::array()},
            {"input",
             {{"shape", {shape.batch, modalities, 1, 1}},
              {"dim_order", {"batch", "modality", "height", "width"}},
              {"data_type", "float32"}}}};
}

Json output_of(const ModelDescription& description, const InputShape& shape) {
    Json classes = Json::array();
    for (const config::Class& entry : description.classes) {
        classes.push_back({{"value", entry.id},
                           {"name", entry.name},
                           {"description", entry.name},
                           {"color_hint", fmt::format("{:02X}{:02X}{:02X}", entry.color[0], entry.color[1],
                                                      entry.color[2])}});
    }
    return {{"name", "probabilities"},
            {"tasks", {"semantic-segmentation"}},
            {"result",
             {{"shape", {shape.batch, description.classes.size(), shape.height, shape.width}},
              {"dim_order", {"batch", "class", "height", "width"}},
              {"data_type", "float32"}}},
            {"classification:classes", classes}};
}

Json properties_of(const ModelDescription& description, const std::string& name, const fs::path& model,
                   const InputShape& shape) {
    const graph::TrainableCount count = graph::count_trainable(
        nets::build_network(description.model, {}, network_inputs(description, 1, description.crop),
                            nets::Task::predict, DType::f32));

    const std::string now = utc_now();
    Json properties{
        {"datetime", now},
        {"created", now},
        {"description", "A network for the semantic segmentation of rasters, trained by terrane."},
        {"mlm:name", name},
        {"mlm:architecture", description.model.name},
        {"mlm:tasks", {"semantic-segmentation"}},
        {"mlm:framework", "terrane"},
        {"mlm:total_parameters", count.trainable + count.frozen},
        {"mlm:memory_size", fs::file_size(model)},
        {"mlm:accelerator", nullptr}};
    Json bands = Json::array();
    for (const data::ModalityLayout& modality : description.modalities) {
        properties["mlm:input"].push_back(input_of(modality, shape));
        for (std::int64_t b = 0; b < modality.bands; ++b) bands.push_back({{"name", band_name(modality, b)}});
    }
    properties["mlm:input"].push_back(presence_of(description.modalities.size(), shape));
    properties["mlm:output"] = {output_of(description, shape)};
    properties["mlm:hyperparameters"] = {
        {"encoder", description.model.encoder}, {"norm", description.model.norm}, {"crop", description.crop}};
    properties["bands"] = bands;
    return properties;
}

Json asset_of(const fs::path& folder, const BundleFile& entry) {
    return {{"href", "./" + entry.file},
            {"title", entry.title},
            {"type", entry.type},
            {"roles", {"mlm:model", "mlm:weights"}},
            {"mlm:artifact_type", entry.artifact},
            {"file:size", fs::file_size(folder / entry.file)},
            // A multihash: 0x12 is SHA-256, 0x20 its length.
            {"file:checksum", "1220" + sha256_of_file(folder / entry.file)}};
}

}  // namespace

void export_bundle(const fs::path& model, const fs::path& folder, const std::string& name,
                   const OnnxSizes& sizes) {
    const ModelDescription description = model_description(model);
    create_folders(folder);
    std::vector<BundleFile> files{
        {"model", "model.safetensors", "Weights as terrane keeps them (terrane predict --weights)",
         "application/octet-stream; application=safetensors", "terrane"},
        {"pytorch", "pytorch.safetensors", "Weights in PyTorch's names and layout",
         "application/octet-stream; application=safetensors", "safetensors"}};
    std::error_code failure;
    fs::copy_file(model, folder / "model.safetensors", failure);
    if (failure) {
        throw Error(ExitCode::io_error, 901,
                    fmt::format("{} can't be copied: {}.", model.string(), failure.message()),
                    "Check the free space and the permissions of the folder.");
    }
    sync_file(folder / "model.safetensors");
    export_for_pytorch(model, folder / "pytorch.safetensors");
    InputShape shape;
    if (description.model.name != "pkdiff") {
        // The ONNX file is of one size; the weights by themselves are of none.
        shape = {sizes.batch, sizes.height > 0 ? sizes.height : description.crop,
                 sizes.width > 0 ? sizes.width : description.crop};
        export_onnx(model, folder / "model.onnx", sizes);
        files.push_back({"onnx", "model.onnx", "The network for inference",
                         "application/octet-stream; framework=onnx; profile=onnx", "onnx"});
    }

    Json item{{"type", "Feature"},
              {"stac_version", "1.1.0"},
              {"stac_extensions",
               {"https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
                "https://stac-extensions.github.io/file/v2.1.0/schema.json",
                "https://stac-extensions.github.io/classification/v2.0.0/schema.json"}},
              {"id", name},
              {"geometry", nullptr},
              {"properties", properties_of(description, name, model, shape)},
              {"links", Json::array()}};
    for (const BundleFile& entry : files) item["assets"][entry.key] = asset_of(folder, entry);
    write_file_atomically(folder / "item.json", item.dump(2) + "\n");
    sync_folder(folder);
}

}  // namespace terrane::train
