#include "synth/landscape.hpp"

namespace terrane::synth {

namespace {

bool wants_dry_ground(LandUse use) {
    switch (use) {
        case LandUse::industry:
        case LandUse::parking:
        case LandUse::construction:
            return true;
        case LandUse::houses:
        case LandUse::apartments:
        case LandUse::park:
        case LandUse::crop:
        case LandUse::ploughed:
        case LandUse::meadow:
        case LandUse::orchard:
        case LandUse::wood:
            return false;
    }
    return false;
}

}  // namespace

std::vector<Block> Landscape::blocks(std::int64_t i, std::int64_t j) const {
    std::vector<Block> result = layout_.blocks(i, j);
    for (Block& block : result) {
        if (!wants_dry_ground(block.use)) continue;
        bool wet = false;
        for (const double s : {0.0, 0.33, 0.67, 1.0})
            for (const double t : {0.0, 0.33, 0.67, 1.0}) {
                const Point frame{mix(block.outline.x0, block.outline.x1, s),
                                  mix(block.outline.y0, block.outline.y1, t)};
                wet = wet || terrain_.river(frame_.to_scene(frame)).bank_distance < 6.0;
            }
        if (wet) block.use = block.tint < 0.5f ? LandUse::meadow : LandUse::park;
    }
    return result;
}

}  // namespace terrane::synth
