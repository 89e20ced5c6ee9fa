#include <cmath>

#include "synth/block_builder.hpp"

// Cars on lots, at the kerb and on the move.
namespace terrane::synth {

namespace {

constexpr double stall_width = 2.7;
constexpr double stall_depth = 5.2;
constexpr double aisle = 6.2;

}  // namespace

void BlockBuilder::add_car(Point center, Point direction) {
    Car car;
    const double turn = random_.uniform(-0.035, 0.035);
    const bool van = chance(0.16);
    car.box.center = center;
    car.box.cos = direction.x - turn * direction.y;
    car.box.sin = direction.y + turn * direction.x;
    const double length = std::hypot(car.box.cos, car.box.sin);
    car.box.cos /= length;
    car.box.sin /= length;
    if (chance(0.5)) {
        car.box.cos = -car.box.cos;
        car.box.sin = -car.box.sin;
    }
    car.shape = van ? CarShape::van : CarShape::saloon;
    car.box.half_length = 0.5 * (van ? random_.uniform(5.2, 6.4) : random_.uniform(4.2, 4.9));
    car.box.half_width = 0.5 * (van ? random_.uniform(2.0, 2.15) : random_.uniform(1.76, 1.92));
    car.height = static_cast<float>(van ? random_.uniform(2.0, 2.5) : random_.uniform(1.40, 1.62));
    car.tint = static_cast<float>(van ? 0.5 * random_.uniform() : random_.uniform());
    if (river_distance(center) < 5.0) return;
    for (const Building& building : content_.buildings) {
        const Point local = building.box.local(center);
        if (std::abs(local.x) < building.box.half_length + 2.6 &&
            std::abs(local.y) < building.box.half_width + 2.6)
            return;
    }
    for (const Car& other : content_.cars)
        if (std::hypot(other.box.center.x - center.x, other.box.center.y - center.y) < 2.4) return;
    content_.cars.push_back(car);
}

void BlockBuilder::add_parking_lot(Rectangle area, double occupancy) {
    if (area.width() < 16.0 || area.height() < 16.0) return;
    const double margin = 1.5;
    Patch lot;
    lot.box = fitted(box_at({0.5 * (area.x0 + area.x1), 0.5 * (area.y0 + area.y1)},
                            0.5 * area.width() - margin, 0.5 * area.height() - margin, 0.0));
    if (lot.box.half_width < 6.0 || river_distance(lot.box.center) < lot.box.half_width) return;
    lot.material = Material::asphalt;
    lot.pattern = Pattern::parking_stalls;
    lot.tint = static_cast<float>(random_.uniform());
    content_.patches.push_back(lot);

    // Modules of stalls, aisle, stalls across the lot; the same numbers as in the pattern of the ground.
    const Box& box = lot.box;
    const double module = parking_module();
    for (double t0 = -box.half_width; t0 + module <= box.half_width + 0.01; t0 += module) {
        for (const double row : {t0 + 0.5 * stall_depth, t0 + module - 0.5 * stall_depth}) {
            for (double s = -box.half_length + 0.5 * stall_width; s < box.half_length - 1.0;
                 s += stall_width) {
                if (!chance(occupancy)) continue;
                const double offset = random_.uniform(-0.35, 0.35);
                const Point center{box.center.x + s * box.cos - (row + offset) * box.sin,
                                   box.center.y + s * box.sin + (row + offset) * box.cos};
                add_car(center, {-box.sin, box.cos});
            }
        }
    }
}

double parking_module() {
    return 2 * stall_depth + aisle;
}

float parking_mark(Point local, const Box& lot) {
    const double module = parking_module();
    const double t = local.y + lot.half_width;
    const double row = std::floor(t / module);
    if ((row + 1) * module > 2 * lot.half_width + 0.01) return 0.0f;
    const double in_module = t - row * module;
    if (in_module > stall_depth && in_module < module - stall_depth) return 0.0f;
    const double s = (local.x + lot.half_length) / stall_width;
    return stripe_coverage((s - std::round(s)) * stall_width, 0.15);
}

void BlockBuilder::add_street_cars() {
    const Rectangle& out = block_.outline;
    for (const Block::Side side : {Block::west, Block::east, Block::north, Block::south}) {
        const RoadLevel level = block_.roads[side];
        if (level < RoadLevel::residential) continue;
        const bool along_v = side == Block::west || side == Block::east;
        const double axis = side == Block::west    ? out.x0
                            : side == Block::east  ? out.x1
                            : side == Block::north ? out.y0
                                                   : out.y1;
        const double inward = side == Block::west || side == Block::north ? 1.0 : -1.0;
        const double begin = along_v ? out.y0 : out.x0, end = along_v ? out.y1 : out.x1;
        // Parked at the kerb of quiet streets, in a lane of the others.
        const bool parked = level == RoadLevel::residential;
        double share = parked ? 0.09 : 0.05;
        if (block_.use == LandUse::apartments) share *= 1.8;
        if (block_.district == District::countryside) share = parked ? 0.0 : 0.04;
        for (double position = begin + 14.0; position < end - 14.0; position += 7.5) {
            if (!chance(share)) continue;
            double lateral = half_width(level) - 1.15;
            if (level == RoadLevel::secondary) lateral = 2.4;
            if (level == RoadLevel::primary) lateral = chance(0.5) ? 1.9 : 5.6;
            const double across = axis + inward * lateral;
            const double along = position + random_.uniform(-1.0, 1.0);
            const Point uv = along_v ? Point{across, along} : Point{along, across};
            const Point direction =
                along_v ? landscape_.frame().v_direction(uv) : landscape_.frame().u_direction(uv);
            add_car(landscape_.frame().to_scene(uv), direction);
        }
    }
}

}  // namespace terrane::synth
