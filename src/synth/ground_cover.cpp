#include "synth/ground_cover.hpp"

#include <algorithm>
#include <cmath>

namespace terrane::synth {

namespace {

constexpr double corner_radius = 4.0;

/// Dashes of 4 m every 8 m.
bool on_dash(double along) {
    return along - 8.0 * std::floor(along / 8.0) < 4.0;
}

/// Crop rows: a fine wave and the tramlines of the tractor.
float rows(double across, double spacing, float amplitude) {
    const double phase = across / spacing;
    const float wave =
        1.0f + amplitude * (4.0f * static_cast<float>(std::abs(phase - std::floor(phase) - 0.5)) - 1.0f);
    const double lane = across - 21.0 * std::floor(across / 21.0);
    const float tracks = std::max(stripe_coverage(lane - 9.5, 0.6), stripe_coverage(lane - 11.5, 0.6));
    return wave * (1.0f - 0.22f * tracks);
}

Material crop_of(float tint) {
    if (tint < 0.40f) return Material::young_crop;
    if (tint < 0.72f) return Material::mature_crop;
    return Material::maize;
}

/// Inward distance from the nearest edge of the interior, metres.
double depth_in(const Rectangle& r, Point p) {
    return std::min(std::min(p.x - r.x0, r.x1 - p.x), std::min(p.y - r.y0, r.y1 - p.y));
}

void set_wood(const Landscape& landscape, Material floor, double depth, Point scene, SurfacePoint& point) {
    const float edge = landscape.noise().at(Field::canopy, scene.x / 6.0, scene.y / 6.0);
    if (depth < 2.4 + 1.2 * static_cast<double>(edge)) {
        point.material = Material::meadow;
        return;
    }
    // Between the crowns the eye sees lower branches, not the ground.
    point.material = floor;
    point.tint = 0.25f;
    point.shade = 0.8f;
    point.height += 5.5f + 1.2f * landscape.noise().at(Field::canopy, scene.x / 1.9, scene.y / 1.9);
}

float path_coverage(const Footpath& path, Point frame) {
    const double along = path.along_u ? frame.x : frame.y, across = path.along_u ? frame.y : frame.x;
    const double angle = along / path.wavelength + path.phase;
    const double slope = path.amplitude / path.wavelength * std::cos(angle);
    const double distance =
        (across - path.offset - path.amplitude * std::sin(angle)) / std::sqrt(1 + slope * slope);
    return std::abs(distance) < 1.5 ? 1.0f : 0.0f;
}

}  // namespace

RoadPosition road_position(const Block& block, Point frame) {
    const Rectangle& out = block.outline;
    const std::array<double, 4> axis{frame.x - out.x0, out.x1 - frame.x, frame.y - out.y0, out.y1 - frame.y};
    std::array<double, 4> kerb{};
    for (std::size_t side = 0; side < 4; ++side) kerb[side] = axis[side] - half_width(block.roads[side]);

    const std::size_t u_side = kerb[Block::west] < kerb[Block::east] ? Block::west : Block::east;
    const std::size_t v_side = kerb[Block::north] < kerb[Block::south] ? Block::north : Block::south;
    const bool rounded =
        block.roads[u_side] >= RoadLevel::residential && block.roads[v_side] >= RoadLevel::residential;

    RoadPosition result;
    result.kerb_distance = std::min(kerb[u_side], kerb[v_side]);
    if (rounded && kerb[u_side] < corner_radius && kerb[v_side] < corner_radius)
        result.kerb_distance =
            std::min(result.kerb_distance,
                     corner_radius - std::hypot(corner_radius - kerb[u_side], corner_radius - kerb[v_side]));
    // On a crossing the larger road wins; beside the carriageway the nearer one.
    std::size_t side = kerb[u_side] < kerb[v_side] ? u_side : v_side;
    if (kerb[u_side] < 0 && kerb[v_side] < 0)
        side = block.roads[u_side] >= block.roads[v_side] ? u_side : v_side;
    result.level = block.roads[side];
    result.along_v = side == u_side;
    result.axis_distance = axis[side];
    result.along = result.along_v ? frame.y : frame.x;
    result.crossing_distance = result.along_v ? kerb[v_side] : kerb[u_side];
    return result;
}

void set_road(const RoadPosition& road, SurfacePoint& point) {
    if (road.kerb_distance >= 0) {
        point.material = Material::sidewalk;
        return;
    }
    const double axis = road.axis_distance;
    const bool open = road.crossing_distance > 3.0;
    switch (road.level) {
        case RoadLevel::none:
            break;
        case RoadLevel::track:
            point.material = Material::dirt_track;
            break;
        case RoadLevel::residential:
            point.material = Material::worn_asphalt;
            break;
        case RoadLevel::secondary:
            point.material = Material::asphalt;
            point.tint = 0.62f;
            if (open) {
                const float center = on_dash(road.along) ? stripe_coverage(axis, 0.25) : 0.0f;
                point.paint = std::max(center, stripe_coverage(axis - half_width(road.level) + 0.45, 0.15));
            }
            break;
        case RoadLevel::primary:
            point.material = Material::asphalt;
            point.tint = 0.35f;
            if (open) {
                const float lane = on_dash(road.along) ? stripe_coverage(axis - 3.75, 0.25) : 0.0f;
                const float edge = stripe_coverage(axis - half_width(road.level) + 0.45, 0.2);
                point.paint = std::max(std::max(lane, edge), stripe_coverage(axis - 0.25, 0.2));
            }
            break;
    }
    // Wheels polish the middle of a lane and oil darkens it.
    point.shade = 1.0f - 0.05f * static_cast<float>(std::cos(axis * 3.4));
}

void set_land(const Landscape& landscape, const Block& block, const BlockContent& content, Point scene,
              Point frame, SurfacePoint& point) {
    const Noise& noise = landscape.noise();
    const double depth = depth_in(block.interior(), frame);
    const bool exchanged = block.outline.height() > block.outline.width();
    const double across = exchanged ? frame.x : frame.y;
    point.tint = block.tint;
    switch (block.use) {
        case LandUse::houses:
            point.material = Material::lawn;
            break;
        case LandUse::apartments:
            point.material = block.tint < 0.3f ? Material::concrete : Material::lawn;
            break;
        case LandUse::industry:
            point.material = depth < 3.0         ? Material::dry_grass
                             : block.tint < 0.5f ? Material::asphalt
                                                 : Material::concrete;
            break;
        case LandUse::parking:
            point.material = depth < 1.2 ? Material::lawn : Material::asphalt;
            break;
        case LandUse::park:
            point.material = Material::lawn;
            if (content.path && path_coverage(*content.path, frame) > 0) {
                point.material = Material::gravel_path;
                point.tint = 0.5f;
            }
            break;
        case LandUse::construction:
            point.material = depth < 2.0 ? Material::dry_grass : Material::construction_soil;
            break;
        case LandUse::crop:
            if (depth < 1.5) {
                point.material = Material::meadow;
                break;
            }
            point.material = crop_of(block.tint);
            point.tint = block.tint * 7.0f - std::floor(block.tint * 7.0f);
            point.shade = rows(across, 2.6, 0.10f);
            point.height += point.material == Material::maize         ? 1.3f
                            : point.material == Material::mature_crop ? 0.7f
                                                                      : 0.25f;
            break;
        case LandUse::ploughed:
            if (depth < 1.5) {
                point.material = Material::meadow;
                break;
            }
            point.material = block.tint < 0.5f ? Material::dark_soil : Material::light_soil;
            point.shade = rows(across, 2.2, 0.07f);
            break;
        case LandUse::meadow:
        case LandUse::orchard: {
            const float dryness = noise.fractal(Field::vigour, scene.x / 45.0, scene.y / 45.0, 2);
            point.material = dryness > 0.45f ? Material::dry_grass : Material::meadow;
            point.height += 0.1f;
            break;
        }
        case LandUse::wood:
            set_wood(landscape, block.tint < 0.35f ? Material::conifer : Material::broadleaf, depth, scene,
                     point);
            break;
    }
}

}  // namespace terrane::synth
