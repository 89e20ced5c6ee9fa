#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "config/optim.hpp"
#include "config/runtime.hpp"
#include "config/scene.hpp"
#include "config/training.hpp"

/// The whole configuration of a run as plain values, defaults included. One struct per TOML table, in the
/// header of its subject, so that a module can include what it reads and no more; the option registry
/// (config/registry.hpp) is the only place that knows how keys, types, ranges and help texts map to them.
namespace terrane::config {

struct Predict {
    std::int64_t window = 0;  ///< 0: the training crop
    double overlap = 0.5;     ///< fraction of a window shared with its neighbour
    std::int64_t batch = 4;
    std::string blend = "hann";  ///< hann, mean
    bool confidence = false;     ///< also write the largest probability
    std::string symmetries =
        "none";  ///< of every window that are classified and averaged: none, mirror, flips, all
    std::int64_t smallest_region = 0;  ///< of the map, in pixels; 0: as it is
    bool entropy = false;              ///< also write the entropy of the probabilities
    bool scores = false;               ///< also write every class's probability
    std::int64_t quicklook = 1024;     ///< longer edge of the PNG beside the map; 0: none
};

struct Data {
    std::string tiles = "tiles";  ///< folder of the tile store, relative to the working folder
};

struct Config {
    std::int64_t format = 1;
    Grid grid;
    std::vector<Modality> modalities;  ///< [[modality]]
    Label label;
    WeakLabel scribble{{}, "", 7.38905609893065};  ///< lambda e^2, as published
    WeakLabel pseudo{{}, "", 2.718281828459045};   ///< lambda e
    std::vector<Class> classes;                    ///< [[class]]
    Split split;
    Sampler sampler;
    Augment augment;
    Model model;
    Loss loss;
    Optim optim;
    Train train;
    Import import_rules;
    Eval eval;
    Checkpoint checkpoint;
    Report report;
    Predict predict;
    Data data;
    Runtime runtime;
    std::string folder;  ///< absolute folder of the first config file; empty without one
};

}  // namespace terrane::config
