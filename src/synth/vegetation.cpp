#include <algorithm>
#include <cmath>

#include "synth/block_builder.hpp"

// Trees in streets, gardens, parks, orchards and woods; ponds and paths in the green.
namespace terrane::synth {

namespace {

double crown_height(double radius, double slenderness) {
    return std::clamp(radius * slenderness, 4.0, 20.0);
}

}  // namespace

bool BlockBuilder::add_tree(Point center, float radius, float height, Material kind) {
    const float tint = static_cast<float>(random_.uniform());
    if (river_distance(center) < 0.6 * radius + 0.5) return false;
    for (const Building& building : content_.buildings) {
        const Point local = building.box.local(center);
        const double dx = std::abs(local.x) - building.box.half_length;
        const double dy = std::abs(local.y) - building.box.half_width;
        if (std::max(dx, dy) < 0.85 * radius) return false;
    }
    if (content_.pond) {
        const double dx = (center.x - content_.pond->center.x) / (1.2 * content_.pond->radius_x + radius);
        const double dy = (center.y - content_.pond->center.y) / (1.2 * content_.pond->radius_y + radius);
        if (dx * dx + dy * dy < 1.0) return false;
    }
    content_.trees.push_back({center, kind, radius, height, tint, ground(center)});
    return true;
}

void BlockBuilder::add_trees() {
    switch (block_.use) {
        case LandUse::houses:
            add_scattered_trees(16, 1.9f, 3.8f);
            break;
        case LandUse::apartments:
            add_scattered_trees(12, 2.2f, 4.2f);
            break;
        case LandUse::park:
            add_scattered_trees(26, 2.8f, 5.4f);
            break;
        case LandUse::meadow:
            add_scattered_trees(5, 2.8f, 5.2f);
            break;
        case LandUse::construction:
        case LandUse::parking:
        case LandUse::industry:
        case LandUse::crop:
        case LandUse::ploughed:
            break;
        case LandUse::orchard:
            add_orchard();
            break;
        case LandUse::wood:
            add_wood();
            break;
    }
    if (block_.district == District::countryside) {
        add_boundary_trees();
    } else {
        add_street_trees();
    }
    if (block_.use != LandUse::wood) add_riparian_trees();
}

void BlockBuilder::add_scattered_trees(int count, float smallest, float largest) {
    for (int k = 0; k < count; ++k) {
        const float radius = static_cast<float>(random_.uniform(smallest, largest));
        const Point st{random_.uniform(inner_.x0 + radius, inner_.x1 - radius),
                       random_.uniform(inner_.y0 + radius, inner_.y1 - radius)};
        const bool conifer = chance(0.2);
        const double height = crown_height(radius, random_.uniform(2.3, 3.4));
        const Point center = scene_point(st);
        bool free = true;
        for (const Patch& patch : content_.patches) {
            const Point local = patch.box.local(center);
            // A crown may lean over a drive, not stand in the middle of a car park.
            const double reach = patch.pattern == Pattern::parking_stalls ? radius : 0.3;
            free = free && !(std::abs(local.x) < patch.box.half_length + reach &&
                             std::abs(local.y) < patch.box.half_width + reach);
        }
        if (free)
            add_tree(center, conifer ? 0.8f * radius : radius, static_cast<float>(height),
                     conifer ? Material::conifer : Material::broadleaf);
    }
}

void BlockBuilder::add_street_trees() {
    const Rectangle in = block_.interior();
    for (const Block::Side side : {Block::west, Block::east, Block::north, Block::south}) {
        const double lined = block_.roads[side] >= RoadLevel::secondary ? 0.75 : 0.40;
        if (!chance(lined) || block_.roads[side] < RoadLevel::residential) continue;
        const bool along_v = side == Block::west || side == Block::east;
        const double begin = along_v ? in.y0 : in.x0, end = along_v ? in.y1 : in.x1;
        const double spacing = random_.uniform(9.0, 14.0);
        const double size = random_.uniform(2.2, 3.1);
        // The crowns stand over the sidewalk and the first metres of the plots.
        const double inset = -0.2;
        const double across = side == Block::west    ? in.x0 + inset
                              : side == Block::east  ? in.x1 - inset
                              : side == Block::north ? in.y0 + inset
                                                     : in.y1 - inset;
        for (double along = begin + 8.0; along < end - 8.0; along += spacing) {
            const double radius = size * random_.uniform(0.85, 1.15);
            const Point uv = along_v ? Point{across, along} : Point{along, across};
            if (chance(0.12)) continue;
            add_tree(landscape_.frame().to_scene(uv), static_cast<float>(radius),
                     static_cast<float>(crown_height(radius, 2.8)), Material::broadleaf);
        }
    }
}

void BlockBuilder::add_boundary_trees() {
    const Rectangle in = block_.interior();
    for (const Block::Side side : {Block::west, Block::east, Block::north, Block::south}) {
        if (!chance(0.30) || block_.use == LandUse::wood) continue;
        const bool along_v = side == Block::west || side == Block::east;
        const double begin = along_v ? in.y0 : in.x0, end = along_v ? in.y1 : in.x1;
        const double across = side == Block::west    ? in.x0 + 4.0
                              : side == Block::east  ? in.x1 - 4.0
                              : side == Block::north ? in.y0 + 4.0
                                                     : in.y1 - 4.0;
        const double spacing = random_.uniform(4.2, 9.0);
        for (double along = begin + 6.0; along < end - 6.0; along += spacing) {
            const double radius = random_.uniform(2.2, 3.8);
            const Point uv = along_v ? Point{across, along} : Point{along, across};
            if (chance(0.1)) continue;
            add_tree(landscape_.frame().to_scene(uv), static_cast<float>(radius),
                     static_cast<float>(crown_height(radius, random_.uniform(2.0, 3.2))),
                     Material::broadleaf);
        }
    }
}

void BlockBuilder::add_riparian_trees() {
    const Point middle = scene_point({0.5 * (inner_.x0 + inner_.x1), 0.5 * (inner_.y0 + inner_.y1)});
    if (river_distance(middle) > std::hypot(inner_.width(), inner_.height())) return;
    for (double s = inner_.x0 + 3.0; s < inner_.x1 - 3.0; s += 7.0) {
        for (double t = inner_.y0 + 3.0; t < inner_.y1 - 3.0; t += 7.0) {
            const Point center =
                scene_point({s + random_.uniform(-2.0, 2.0), t + random_.uniform(-2.0, 2.0)});
            const double radius = random_.uniform(2.4, 4.2);
            const bool chosen = chance(0.4);
            const double distance = river_distance(center);
            if (!chosen || distance < 3.0 || distance > 13.0) continue;
            add_tree(center, static_cast<float>(radius), static_cast<float>(crown_height(radius, 3.0)),
                     Material::broadleaf);
        }
    }
}

void BlockBuilder::add_orchard() {
    const double spacing = 6.6;
    for (double s = inner_.x0 + 6.0; s < inner_.x1 - 5.0; s += spacing) {
        for (double t = inner_.y0 + 6.0; t < inner_.y1 - 5.0; t += spacing) {
            const float radius = static_cast<float>(random_.uniform(1.9, 2.5));
            if (chance(0.06)) continue;
            add_tree(scene_point({s + random_.uniform(-0.3, 0.3), t + random_.uniform(-0.3, 0.3)}), radius,
                     static_cast<float>(random_.uniform(4.0, 5.2)), Material::broadleaf);
        }
    }
}

void BlockBuilder::add_wood() {
    const double spacing = 4.4;
    const double conifers = block_.tint < 0.35f ? 0.85 : block_.tint < 0.6f ? 0.4 : 0.08;
    for (double s = inner_.x0 + 4.5; s < inner_.x1 - 4.0; s += spacing) {
        for (double t = inner_.y0 + 4.5; t < inner_.y1 - 4.0; t += spacing) {
            const Point st{s + random_.uniform(-1.5, 1.5), t + random_.uniform(-1.5, 1.5)};
            const bool conifer = chance(conifers);
            const double radius = conifer ? random_.uniform(2.0, 3.0) : random_.uniform(2.6, 4.3);
            const double height = conifer ? random_.uniform(11.0, 20.0) : random_.uniform(9.0, 18.0);
            if (chance(0.04)) continue;
            add_tree(scene_point(st), static_cast<float>(radius), static_cast<float>(height),
                     conifer ? Material::conifer : Material::broadleaf);
        }
    }
}

void BlockBuilder::add_pond(double probability) {
    const bool wanted = chance(probability);
    const double largest = std::min(20.0, 0.5 * inner_.height() - 8.0);
    const double radius_x = random_.uniform(0.65, 1.0) * largest,
                 radius_y = random_.uniform(0.65, 1.0) * largest;
    const Point st{random_.uniform(inner_.x0 + 28.0, std::max(inner_.x0 + 28.1, inner_.x1 - 28.0)),
                   0.5 * (inner_.y0 + inner_.y1) + random_.uniform(-2.0, 2.0)};
    if (!wanted || largest < 9.0) return;
    const Point center = scene_point(st);
    if (river_distance(center) < 60.0) return;
    // The water lies below the lowest shore, so that no bank would have to rise from it.
    double level = ground(center);
    for (int k = 0; k < 8; ++k) {
        const double angle = 0.7853981633974483 * k;
        level = std::min(
            level, ground({center.x + radius_x * std::cos(angle), center.y + radius_y * std::sin(angle)}));
    }
    content_.pond = Pond{center, radius_x, radius_y, level - 0.7};
}

void BlockBuilder::add_path() {
    Footpath path;
    path.along_u = !exchanged_;
    path.offset = mix(inner_.y0, inner_.y1, content_.pond ? 0.12 : 0.5) + random_.uniform(-1.0, 1.0);
    path.amplitude = content_.pond ? 1.5 : random_.uniform(3.0, 9.0);
    path.wavelength = random_.uniform(11.0, 18.0);
    path.phase = random_.uniform(0.0, 6.28);
    content_.path = path;
}

}  // namespace terrane::synth
