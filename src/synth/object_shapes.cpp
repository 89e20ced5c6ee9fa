#include "synth/object_shapes.hpp"

#include <algorithm>
#include <cmath>

namespace terrane::synth {

namespace {

struct RoofPoint {
    float height;  ///< above the building's base
    Material material;
    float shade;
};

/// Machines and skylights on flat roofs, one possible place per 7 m cell.
void equip(const Building& building, Point local, RoofPoint& roof) {
    const double edge = 7.0;
    const double a = (local.x + building.box.half_length) / edge,
                 b = (local.y + building.box.half_width) / edge;
    const auto key = static_cast<std::uint64_t>(building.tint * 0x1.0p24f);
    const Philox::Counter draw =
        Philox::draw(key, static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b));
    const double half_a = 0.8 + 1.6 * static_cast<double>(Philox::uniform(draw[1]));
    const double half_b = 0.8 + 0.9 * static_cast<double>(Philox::uniform(draw[2]));
    if (std::abs((a - std::floor(a) - 0.5) * edge) > half_a ||
        std::abs((b - std::floor(b) - 0.5) * edge) > half_b)
        return;
    const float kind = Philox::uniform(draw[0]);
    if (kind < 0.14f) {
        roof = {roof.height + 0.9f + Philox::uniform(draw[3]), Material::metal, 1.0f};
    } else if (kind < 0.30f) {
        roof.material = Material::slate;
        roof.shade = 1.2f;
    }
}

RoofPoint flat_roof_point(const Building& building, Point local) {
    RoofPoint roof{building.eaves, building.roof, 1.0f};
    const double edge =
        std::min(building.box.half_length - std::abs(local.x), building.box.half_width - std::abs(local.y));
    if (building.box.half_width < 4.5) return roof;
    if (edge < 0.5) {
        roof.height += 0.5f;
        roof.material = Material::roof_gravel;
        roof.shade = 1.1f;
    } else if (edge > 2.5) {
        equip(building, local, roof);
    }
    return roof;
}

RoofPoint gable_roof_point(const Building& building, Point local) {
    const double across = std::abs(local.y) / building.box.half_width;
    RoofPoint roof{building.eaves + building.ridge * static_cast<float>(1.0 - across), building.roof, 1.0f};
    // The ridge tiles are lighter; some roofs carry solar panels on their southern side, chimneys all but
    // few.
    if (std::abs(local.y) < 0.3) roof.shade = 1.12f;
    const bool southern = (local.y > 0) == (building.box.cos > 0);
    if (building.tint > 0.80f && southern && across > 0.2 && across < 0.8 &&
        std::abs(local.x) < 0.65 * building.box.half_length) {
        roof.material = Material::slate;
        roof.shade = 0.75f;
    }
    const double chimney_x = building.box.half_length * (0.9 * static_cast<double>(building.tint) - 0.45);
    if (building.tint < 0.7f && std::abs(local.x - chimney_x) < 0.45 && std::abs(local.y - 0.9) < 0.45) {
        roof.height += 1.0f;
        roof.shade = 0.8f;
    }
    return roof;
}

RoofPoint hip_roof_point(const Building& building, Point local) {
    const double edge =
        std::min(building.box.half_length - std::abs(local.x), building.box.half_width - std::abs(local.y));
    return {building.eaves + building.ridge * static_cast<float>(edge / building.box.half_width),
            building.roof, 1.0f};
}

}  // namespace

void put_building(const Building& building, Point p, SurfacePoint& point) {
    const Point local = building.box.local(p);
    if (std::abs(local.x) > building.box.half_length || std::abs(local.y) > building.box.half_width) return;
    RoofPoint roof{};
    switch (building.shape) {
        case RoofShape::flat:
            roof = flat_roof_point(building, local);
            break;
        case RoofShape::gable:
            roof = gable_roof_point(building, local);
            break;
        case RoofShape::hip:
            roof = hip_roof_point(building, local);
            break;
    }
    const float height = static_cast<float>(building.base) + roof.height;
    if (height <= point.height) return;
    point.height = height;
    point.material = roof.material;
    point.tint = building.tint;
    point.shade = roof.shade;
    point.paint = 0;
}

void put_tree(const Tree& tree, const Noise& noise, Point p, SurfacePoint& point) {
    const double dx = p.x - tree.center.x, dy = p.y - tree.center.y;
    const float outline = tree.radius * (0.95f + 0.10f * noise.at(Field::canopy, p.x / 1.5, p.y / 1.5));
    const float square = static_cast<float>(dx * dx + dy * dy) / (outline * outline);
    if (square >= 1) return;
    const float profile = tree.kind == Material::conifer ? 1.0f - 0.62f * std::sqrt(square)
                                                         : 0.55f + 0.45f * std::sqrt(1.0f - square);
    const float leaves = 0.35f * noise.at(Field::canopy, p.x / 0.8 + 31.0, p.y / 0.8);
    const float height = static_cast<float>(tree.base) + std::max(2.6f, tree.height * profile + leaves);
    if (height <= point.height) return;
    point.height = height;
    point.material = tree.kind;
    point.tint = tree.tint;
    // The rim of a crown is thinner and darker than its top.
    point.shade = 1.08f - 0.22f * square;
    point.paint = 0;
}

void put_car(const Car& car, Point p, SurfacePoint& point) {
    const Point local = car.box.local(p);
    if (std::abs(local.x) > car.box.half_length || std::abs(local.y) > car.box.half_width) return;
    const double along = local.x / car.box.half_length;
    float height = car.height;
    bool glass = false;
    switch (car.shape) {
        case CarShape::saloon:
            if (along > 0.45) height *= 0.66f;
            if (along < -0.75) height *= 0.72f;
            glass = (along > 0.22 && along < 0.45) || (along < -0.52 && along > -0.75);
            break;
        case CarShape::van:
            if (along > 0.78) height *= 0.6f;
            glass = along > 0.62 && along < 0.78;
            break;
    }
    const float top = point.ground + height;
    if (top <= point.height) return;
    point.height = top;
    point.material = glass ? Material::car_glass : Material::car_paint;
    point.tint = car.tint;
    point.shade = 1;
    point.paint = 0;
}

void put_patch(const Patch& patch, Point p, SurfacePoint& point) {
    const Point local = patch.box.local(p);
    if (std::abs(local.x) > patch.box.half_length || std::abs(local.y) > patch.box.half_width) return;
    point.height = point.ground;
    point.material = patch.material;
    point.tint = patch.tint;
    point.shade = 1;
    point.paint = patch.pattern == Pattern::parking_stalls ? parking_mark(local, patch.box) : 0.0f;
}

void put_mound(const Mound& mound, Point p, SurfacePoint& point) {
    const double distance = std::hypot(p.x - mound.center.x, p.y - mound.center.y) / mound.radius;
    if (distance >= 1) return;
    point.height += static_cast<float>(mound.height * (1.0 - smoothstep(0.0, 1.0, distance)));
}

}  // namespace terrane::synth
