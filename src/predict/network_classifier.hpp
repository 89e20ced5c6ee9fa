#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "config/model.hpp"
#include "data/tile_source.hpp"
#include "graph/program.hpp"
#include "predict/symmetries.hpp"
#include "predict/window_batch.hpp"
#include "recipe/recipe.hpp"

namespace terrane::predict {

/// The value that a relative modality has subtracted under a window: from its stored values [pixels, bands]
/// of a type and its validity, as the tile store computes it for a tile.
using BaseOf = std::function<float(std::span<const std::byte> values, std::span<const std::uint8_t> validity,
                                   DType stored)>;

/// One of the network's modalities.
struct ClassifierModality {
    data::ModalityLayout layout;  ///< as trained: bands, scale, normalisation
    BaseOf base;                  ///< empty: nothing is subtracted
};

/// What a network for prediction is built from.
struct ClassifierDesign {
    config::Model model;
    DType compute = DType::f32;
    std::int64_t window = 0;
    std::int64_t batch = 1;
    std::int64_t classes = 2;
    std::uint64_t seed = 0;           ///< of networks that draw random numbers
    std::int64_t crop = 0;            ///< edge of the training samples; 0: the window
    std::string symmetries = "none";  ///< predict.symmetries
    std::vector<ClassifierModality> modalities;
};

/// A trained network that takes windows as it took training samples: cut at pixel borders, normalised alike,
/// with presence 0 for a modality without a valid pixel in the window. Shows every window in the symmetries
/// of the design and averages what the network says of each pixel.
class NetworkClassifier final : public WindowClassifier {
  public:
    /// Builds and plans the network; its parameters are zero until they are loaded. The backend must outlive
    /// it.
    NetworkClassifier(ClassifierDesign design, device::Backend& backend);

    /// Where the weights go; call parameters_changed() when they are there.
    graph::ParameterStore& parameters() { return *store_; }
    void parameters_changed() { inference_->parameters_changed(); }

    /// Takes windows of this scene from now on. A modality that it lacks is withheld. Throws Error E0545 (65)
    /// if a modality's bands or scale are not those of the training, or if the scene has none of the
    /// modalities.
    void bind(const SceneSource& source);

    /// Bytes of parameters, program and results.
    std::size_t bytes() const;

    std::int64_t window() const override { return design_.window; }
    std::int64_t classes() const override { return design_.classes; }
    std::int64_t batch() const override { return design_.batch; }
    std::span<const float> classify(const WindowBatch& batch) override;

  private:
    /// Where a network's modality comes from.
    struct Origin {
        std::optional<std::size_t> source;  ///< its place among the scene's modalities; none: it is withheld
        DType stored = DType::u8;           ///< the scene's element type
    };
    void assemble(std::int64_t place, const InputWindow& input, const device::SampleTransform& transform);
    /// Adds the network's answer to the batch in a symmetry, `count` windows, to probabilities_.
    void add(const WindowSymmetry& symmetry, std::size_t count);

    ClassifierDesign design_;
    device::Backend& backend_;
    device::SingleRank alone_;
    std::optional<graph::ParameterStore> store_;
    std::unique_ptr<recipe::Inference> inference_;
    std::vector<std::int64_t> keys_;  ///< of random draws: the windows' places in the grid
    std::vector<Origin> origins_;
    std::vector<TensorView> inputs_;
    TensorView presence_;
    TensorView output_;
    std::vector<WindowSymmetry> symmetries_;
    std::vector<float> probabilities_;
    std::vector<float> turned_;          ///< the network's answer in one symmetry, if there are several
    std::vector<std::uint8_t> nothing_;  ///< values and validity of a modality that is not there
};

}  // namespace terrane::predict
