#pragma once

#include "app/verb.hpp"
#include "nets/network.hpp"

namespace terrane::app {

/// The options by which inspect and bench describe a network's inputs without data.
std::vector<VerbOption> network_input_options();

/// What the network is to be built for: from --modality, --bands, --classes, --batch and --size where they
/// are given, from the configuration otherwise. Throws Error E0108 (2) for a malformed --modality, E0544 (78)
/// if the bands are unknown.
nets::NetworkInputs network_inputs(const Invocation& invocation);

}  // namespace terrane::app
