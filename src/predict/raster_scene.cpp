#include "predict/raster_scene.hpp"

namespace terrane::predict {

RasterScene::RasterScene(const config::Config& config, const raster::SceneFiles& files)
    : scene_(config, files, raster::LabelUse::ignored) {
    for (std::size_t m = 0; m < scene_.modalities(); ++m) {
        const raster::AlignedReader& reader = scene_.modality(m);
        modalities_.push_back({config.modalities[m].name, reader.dtype(), reader.bands(), scene_.scale(m)});
    }
}

void RasterScene::read(std::size_t modality, Range rows, Range columns, std::span<std::byte> values,
                       std::span<std::uint8_t> validity) {
    scene_.read(modality, {columns.begin, rows.begin, columns.size(), rows.size()}, values, validity);
}

}  // namespace terrane::predict
