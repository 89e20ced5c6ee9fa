#include "synth/block_builder.hpp"

#include <cmath>

namespace terrane::synth {

namespace {

PhiloxStream content_stream(const Landscape& landscape, const Block& block) {
    // At most 64 blocks per superblock: the split stops long before.
    return cell_stream(landscape.seed(), Purpose::block_content, block.cell_i * 64 + block.number,
                       block.cell_j);
}

}  // namespace

BlockBuilder::BlockBuilder(const Landscape& landscape, const Block& block)
    : landscape_(landscape),
      block_(block),
      exchanged_(block.outline.height() > block.outline.width()),
      random_(content_stream(landscape, block)) {
    const Rectangle interior = block.interior();
    inner_ = exchanged_ ? Rectangle{interior.y0, interior.x0, interior.y1, interior.x1} : interior;
}

Point BlockBuilder::s_direction(Point st) const {
    const Point uv = frame_point(st);
    return exchanged_ ? landscape_.frame().v_direction(uv) : landscape_.frame().u_direction(uv);
}

Box BlockBuilder::box_at(Point st, double half_length, double half_width, double turn) const {
    const Point direction = s_direction(st);
    const double cos = std::cos(turn), sin = std::sin(turn);
    return {scene_point(st), direction.x * cos - direction.y * sin, direction.x * sin + direction.y * cos,
            half_length, half_width};
}

bool BlockBuilder::inside(Point scene, double margin) const {
    const Rectangle interior = block_.interior();
    const Point uv = landscape_.frame().to_frame(scene);
    return uv.x > interior.x0 + margin && uv.x < interior.x1 - margin && uv.y > interior.y0 + margin &&
           uv.y < interior.y1 - margin;
}

Box BlockBuilder::fitted(Box box) const {
    for (int attempt = 0; attempt < 6; ++attempt) {
        if (inside(box.corner(-1, -1), 0.3) && inside(box.corner(1, -1), 0.3) &&
            inside(box.corner(-1, 1), 0.3) && inside(box.corner(1, 1), 0.3))
            return box;
        box.half_length *= 0.92;
        box.half_width *= 0.92;
    }
    box.half_length = box.half_width = 0;
    return box;
}

BlockContent BlockBuilder::build() {
    switch (block_.use) {
        case LandUse::houses:
            add_houses();
            break;
        case LandUse::apartments:
            add_apartments();
            break;
        case LandUse::industry:
            add_industry();
            break;
        case LandUse::parking:
            add_parking_lot(inner_, random_.uniform(0.06, 0.16));
            break;
        case LandUse::construction:
            add_site();
            break;
        case LandUse::park:
            add_pond(0.7);
            add_path();
            break;
        case LandUse::meadow:
            add_pond(0.4);
            break;
        case LandUse::crop:
        case LandUse::ploughed:
        case LandUse::orchard:
        case LandUse::wood:
            break;
    }
    add_street_cars();
    add_trees();
    return std::move(content_);
}

}  // namespace terrane::synth
