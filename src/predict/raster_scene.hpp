#pragma once

#include <vector>

#include "predict/scene_source.hpp"
#include "raster/aligned_scene.hpp"

namespace terrane::predict {

/// A scene of raster files, aligned as the tile store aligns them.
class RasterScene final : public SceneSource {
  public:
    /// Opens the rasters of `config`'s modalities; errors as raster::AlignedScene.
    RasterScene(const config::Config& config, const raster::SceneFiles& files);

    const raster::Grid& grid() const { return scene_.grid(); }
    std::int64_t height() const override { return scene_.grid().height; }
    std::int64_t width() const override { return scene_.grid().width; }
    const std::vector<SourceModality>& modalities() const override { return modalities_; }
    void read(std::size_t modality, Range rows, Range columns, std::span<std::byte> values,
              std::span<std::uint8_t> validity) override;

  private:
    raster::AlignedScene scene_;
    std::vector<SourceModality> modalities_;
};

}  // namespace terrane::predict
