#pragma once

#include <array>
#include <optional>
#include <vector>

#include "raster/reader.hpp"
#include "raster/scene_files.hpp"

namespace terrane::raster {

/// What is known about the classes of a scene: the truth, a few strokes, guesses.
enum class ClassMap { label, scribble, pseudo };

/// All modalities of a scene on its reference grid, read window by window; what both the tile store and
/// prediction see, so that they see the same pixels. Serves one thread.
class AlignedScene {
  public:
    /// Opens every file and finds the reference grid ([grid] of the configuration). Throws the errors of
    /// AlignedReader, E0208 if modalities do not overlap, E0209 for a grid that can't be built.
    AlignedScene(const config::Config& config, const SceneFiles& files, LabelUse label_use);

    const std::string& id() const { return id_; }
    const Grid& grid() const { return grid_; }
    std::size_t modalities() const { return readers_.size(); }
    /// Element type, bands and grid of a modality; its grid is `scale` times coarser than grid().
    const AlignedReader& modality(std::size_t index) const { return readers_[index]; }
    std::int64_t scale(std::size_t index) const { return scales_[index]; }

    /// Reads a modality under a window of the reference grid, whose edges must be multiples of its scale.
    /// `values`: [height / scale, width / scale, bands], `mask`: [height / scale, width / scale]; see
    /// AlignedReader::read. The window may reach outside the grid: those pixels are invalid.
    AlignedReader::Counts read(std::size_t index, const Window& window, std::span<std::byte> values,
                               std::span<std::uint8_t> mask);

    bool has(ClassMap map) const { return class_maps_[static_cast<std::size_t>(map)].has_value(); }
    /// Raw label values (nearest), before remapping: one band, or RGB when the encoding is "palette".
    AlignedReader& class_map(ClassMap map) { return *class_maps_[static_cast<std::size_t>(map)]; }

  private:
    std::string id_;
    Grid grid_;
    std::vector<AlignedReader> readers_;
    std::vector<std::int64_t> scales_;
    std::array<std::optional<AlignedReader>, 3> class_maps_;
};

/// The rasters of one modality, or of the label, as [[modality]] and [label] describe them.
Source modality_source(const config::Modality& modality, const std::vector<std::filesystem::path>& files);
/// Scribbles and pseudo-labels are coded like labels; `table` is for messages.
Source label_source(const config::Label& label, const std::vector<std::filesystem::path>& files,
                    const std::string& table = "[label]");

/// The reference grid of a scene. Throws Error E0209.
Grid reference_grid(const config::Config& config, const SceneFiles& files);

}  // namespace terrane::raster
