#pragma once

#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "config/config.hpp"
#include "data/augmentation.hpp"
#include "graph/split.hpp"
#include "recipe/recipe.hpp"
#include "tiles/feature_file.hpp"

namespace terrane::train {

/// What the frozen part of a network makes of every training tile, in each of its symmetries that
/// augmentation may draw: computed once, kept in files, and read instead of computed in every step.
///
/// The numbers are stored in the type the network computes in (f32, bf16): training from them is training
/// with the frozen part, to the bit where a backend's results do not depend on the batch. Their files lie in
/// `folder`/<fingerprint>, 16 tiles each, the fingerprint being that of the frozen numbers, the network, the
/// normalisation and the tiles: what belongs to other weights is not even looked at. Files that are there and
/// whole are kept, also those that another number of ranks or a run that was stopped has left.
class FeatureCache {
  public:
    /// What it is made for; all of it outlives the cache.
    struct Setup {
        const config::Config& config;
        data::TileSource& tiles;
        device::Backend& backend;
        comm::Communicator& communicator;
        graph::ParameterStore& store;  ///< with the numbers that training begins with
        const recipe::Design& design;  ///< of the training
        const recipe::InputPorts& training;
        std::filesystem::path folder;
    };

    /// Throws Error E0517 (78) where a sample is not a whole tile in one of its symmetries, or nothing is
    /// frozen.
    static void require_constant_samples(const config::Config& config, std::int64_t crop, std::int64_t edge);

    /// Computes what is missing, the ranks sharing the files, and opens all. Collective. Throws Errors E0411,
    /// E0420, E0517, and those of the tiles.
    explicit FeatureCache(const Setup& setup);

    /// Brings a batch's features into the slots of the training. Throws Errors E0410, E0411.
    void fill(std::span<const data::SampleDraw> samples);

  private:
    struct Feature {
        std::string name;
        std::size_t bytes = 0;  ///< of one sample
    };

    std::string fingerprint(const graph::FrozenSplit& split) const;
    std::int64_t files() const;
    std::filesystem::path path_of(std::int64_t file) const;
    tiles::FeatureFileSpec spec_of(std::int64_t file) const;
    void compute(graph::Graph constant, const std::vector<std::int64_t>& files);
    std::int64_t symmetry_of(const device::SampleTransform& transform) const;

    Setup setup_;
    std::int64_t symmetries_;
    std::vector<Feature> features_;
    std::size_t record_bytes_ = 0;
    std::string fingerprint_;
    std::filesystem::path folder_;
    std::deque<tiles::FeatureFile> files_;
    std::vector<TensorView> slots_;
    std::vector<std::byte> record_;
};

}  // namespace terrane::train
