#include "tiles/verify.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "tiles/shard.hpp"
#include "tiles/tile_memory.hpp"

namespace terrane::tiles {

VerifyReport verify(const TileStore& store, const Ranks& ranks) {
    constexpr std::size_t most_problems = 100;
    const Manifest& manifest = store.manifest();
    VerifyReport own;
    const auto own_scene = [&](std::size_t scene) {
        return scene % static_cast<std::size_t>(ranks.size) == static_cast<std::size_t>(ranks.rank);
    };
    for (std::size_t scene = 0; scene < manifest.scenes.size(); ++scene) {
        if (!own_scene(scene) || manifest.scenes[scene].tiles == 0) continue;
        std::string wrong = check_shard(store.shard(scene), manifest, manifest.scenes[scene]);
        if (!wrong.empty()) own.problems.push_back(std::move(wrong));
    }
    TileMemory memory(manifest);
    TileReader reader(store);
    for (std::int64_t index = 0; index < store.size(); ++index) {
        if (!own_scene(store.tile(index).scene)) continue;
        ++own.tiles;
        own.bytes += memory.bytes();
        try {
            reader.read(index, memory.buffers());
        } catch (const Error& error) {
            if (own.problems.size() < most_problems) own.problems.push_back(error.message());
        }
    }
    nlohmann::json text{own.tiles, own.bytes, own.problems};
    VerifyReport all;
    for (const std::string& part :
         ranks.all_gather(text.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))) {
        const auto json = nlohmann::json::parse(part);
        all.tiles += json[0].get<std::int64_t>();
        all.bytes += json[1].get<std::uint64_t>();
        for (const auto& problem : json[2]) {
            if (all.problems.size() < most_problems) all.problems.push_back(problem.get<std::string>());
        }
    }
    return all;
}

}  // namespace terrane::tiles
