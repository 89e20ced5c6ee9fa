#pragma once

#include "config/config.hpp"
#include "config/registry_builder.hpp"

/// The tables of the registry, one function per TOML table, in files by subject as the structs are.
namespace terrane::config::tables {

using builder::TableOf;

// scene_tables.cpp
TableOf<Grid> grid();
TableOf<Modality> modality();
TableOf<Label> label();
TableOf<WeakLabel> weak_label(const std::string& key, const std::string& help);
TableOf<Class> label_class();
TableOf<Split> split();

// model_tables.cpp
TableOf<Model> model();
TableOf<Loss> loss();

// optim_tables.cpp
TableOf<Optim> optim();

// training_tables.cpp
TableOf<Sampler> sampler();
TableOf<Augment> augment();
TableOf<Train> train();
TableOf<Eval> eval();
TableOf<Import> import_rules();
TableOf<Checkpoint> checkpoint();
TableOf<Report> report();

// runtime_tables.cpp
TableOf<Predict> predict();
TableOf<Data> data();
TableOf<Runtime> runtime();

}  // namespace terrane::config::tables
