#pragma once

#include "app/verb.hpp"
#include "tiles/build.hpp"

namespace terrane::app {

/// The ranks of a command as the tile store wants them.
inline tiles::Ranks data_ranks(const Invocation& invocation) {
    return {invocation.world().rank(), invocation.world().size(),
            [&communicator = invocation.communicator()](const std::string& own) {
                return communicator.all_gather(own);
            }};
}

/// The folder of the tile store: --out, else data.tiles of the configuration.
inline std::string tiles_folder(const Invocation& invocation) {
    const config::Config& config = invocation.config();
    return config.runtime.out.empty() ? config.data.tiles : config.runtime.out;
}

}  // namespace terrane::app
