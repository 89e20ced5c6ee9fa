#include <algorithm>
#include <array>
#include <cmath>

#include "synth/block_builder.hpp"

// Houses, apartment blocks, halls and building sites.
namespace terrane::synth {

namespace {

struct RoofChoice {
    double share;
    Material material;
};

Material choose(double draw, std::initializer_list<RoofChoice> choices) {
    for (const RoofChoice& choice : choices) {
        if (draw < choice.share) return choice.material;
        draw -= choice.share;
    }
    return choices.begin()->material;
}

Material pitched_roof(double draw) {
    return choose(draw, {{0.50, Material::red_tile}, {0.28, Material::brown_tile}, {0.22, Material::slate}});
}

Material flat_roof(double draw) {
    return choose(draw, {{0.38, Material::bitumen},
                         {0.22, Material::roof_gravel},
                         {0.20, Material::green_roof},
                         {0.12, Material::membrane},
                         {0.08, Material::metal}});
}

Material hall_roof(double draw) {
    return choose(draw, {{0.34, Material::bitumen},
                         {0.24, Material::metal},
                         {0.20, Material::membrane},
                         {0.12, Material::roof_gravel},
                         {0.10, Material::green_roof}});
}

}  // namespace

bool BlockBuilder::add_building(Building building, double clearance) {
    if (building.box.half_width <= 1.0) return false;
    if (river_distance(building.box.center) < building.box.radius() + clearance) return false;
    building.base = ground(building.box.center);
    for (const double along : {-1.0, 1.0})
        for (const double across : {-1.0, 1.0})
            building.base = std::max(building.base, ground(building.box.corner(along, across)));
    content_.buildings.push_back(building);
    return true;
}

void BlockBuilder::add_houses() {
    const double depth = inner_.height();
    const bool two_rows = depth > 40.0;
    const double lot_depth = two_rows ? std::min(0.5 * depth, 34.0) : depth;
    for (int row = 0; row < (two_rows ? 2 : 1); ++row) {
        const double edge = row == 0 ? inner_.y0 : inner_.y1;
        const double inward = row == 0 ? 1.0 : -1.0;
        double s = inner_.x0 + 1.0;
        while (s < inner_.x1 - 14.0) {
            const double width = random_.uniform(15.0, 20.5);
            if (s + width > inner_.x1) break;
            add_house_lot(s, width, edge, inward, lot_depth);
            s += width;
        }
    }
}

void BlockBuilder::add_house_lot(double s, double width, double edge, double inward, double depth) {
    const double half_length = random_.uniform(4.7, std::min(7.0, 0.5 * width - 2.5));
    const double half_width = random_.uniform(4.5, 5.6);
    const double setback = random_.uniform(4.0, 7.0);
    const bool gable_to_street = chance(0.25);
    const double along = gable_to_street ? half_width : half_length;
    const double across = gable_to_street ? half_length : half_width;
    const double center_s = s + 1.2 + along;
    const double center_t = edge + inward * (setback + across);

    Building house;
    house.box = box_at({center_s, center_t}, half_length, half_width,
                       (gable_to_street ? 1.5707963267948966 : 0.0) + random_.uniform(-0.03, 0.03));
    const double flat = random_.uniform();
    house.shape = flat < 0.10 ? RoofShape::flat : flat < 0.24 ? RoofShape::hip : RoofShape::gable;
    house.tint = static_cast<float>(random_.uniform());
    house.eaves = static_cast<float>(random_.uniform(3.4, 6.4));
    const double material = random_.uniform();
    house.roof = house.shape == RoofShape::flat ? flat_roof(material) : pitched_roof(material);
    if (house.shape != RoofShape::flat)
        house.ridge = static_cast<float>(half_width * random_.uniform(0.62, 0.95));
    const bool built = add_building(house, 7.0);

    // The drive runs beside the house to a garage or a car port's place.
    const double drive_s = s + width - 2.6;
    const double drive_length = setback + random_.uniform(6.0, 10.0);
    const double garage = random_.uniform();
    const bool car_on_drive = chance(0.18);
    const double terrace = random_.uniform();
    const double lawn_bed = random_.uniform();
    if (!built) return;
    Patch drive;
    drive.box = box_at({drive_s, edge + inward * 0.5 * drive_length}, 1.7, 0.5 * drive_length + 0.2, 0.0);
    drive.material = terrace < 0.5 ? Material::concrete : Material::worn_asphalt;
    drive.tint = static_cast<float>(terrace);
    content_.patches.push_back(drive);
    if (garage < 0.55) {
        Building box;
        box.box = box_at({drive_s, edge + inward * (drive_length + 3.0)}, 1.9, 3.2, 0.0);
        box.eaves = 2.8f;
        box.roof = garage < 0.40 ? Material::bitumen : Material::roof_gravel;
        box.tint = static_cast<float>(garage / 0.55);
        add_building(box, 4.0);
    }
    if (car_on_drive) {
        const Point direction = s_direction({drive_s, edge});
        add_car(scene_point({drive_s, edge + inward * (drive_length - 2.8)}), {-direction.y, direction.x});
    }
    if (terrace < 0.7 && setback + 2 * across + 4.5 < depth) {
        Patch place;
        place.box = box_at({center_s, center_t + inward * (across + 1.9)}, 3.4, 2.0, 0.0);
        place.material = Material::concrete;
        place.tint = static_cast<float>(lawn_bed);
        content_.patches.push_back(place);
    }
    if (lawn_bed < 0.22 && setback + 2 * across + 10.0 < depth) {
        Patch bed;
        bed.box = box_at({center_s + 1.5, center_t + inward * (across + 7.2)}, 3.4, 2.4, 0.0);
        bed.material = Material::dark_soil;
        bed.tint = static_cast<float>(terrace);
        content_.patches.push_back(bed);
    }
}

void BlockBuilder::add_apartment_row(Rectangle strip, bool along_s) {
    const double end = along_s ? strip.x1 : strip.y1;
    double position = along_s ? strip.x0 : strip.y0;
    const double half_depth = 0.5 * (along_s ? strip.height() : strip.width());
    while (position < end - 9.0) {
        double length = random_.uniform(15.0, 32.0);
        if (position + length > end - 9.0) length = end - position;
        const bool gap = chance(0.10);
        const double middle = position + 0.5 * length;
        const Point st =
            along_s ? Point{middle, 0.5 * (strip.y0 + strip.y1)} : Point{0.5 * (strip.x0 + strip.x1), middle};
        Building house;
        house.box = box_at(st, 0.5 * length, half_depth, along_s ? 0.0 : 1.5707963267948966);
        house.eaves = static_cast<float>(3.1 * (3 + random_.below(4)) + random_.uniform(0.0, 0.8));
        house.tint = static_cast<float>(random_.uniform());
        const bool pitched = chance(0.5);
        const double material = random_.uniform();
        house.shape = pitched ? RoofShape::gable : RoofShape::flat;
        house.roof = pitched ? pitched_roof(material) : flat_roof(material);
        if (pitched) house.ridge = static_cast<float>(random_.uniform(2.8, 4.4));
        position += length;
        if (!gap) add_building(house, 7.0);
    }
}

void BlockBuilder::add_apartments() {
    const double depth = random_.uniform(11.0, 13.0);
    const Rectangle& in = inner_;
    if (block_.tint < 0.6f) {
        // Closed around a courtyard.
        const double edge = 1.2;
        add_apartment_row({in.x0 + edge, in.y0 + edge, in.x1 - edge, in.y0 + edge + depth}, true);
        add_apartment_row({in.x0 + edge, in.y1 - edge - depth, in.x1 - edge, in.y1 - edge}, true);
        const double s0 = in.x0 + edge, s1 = in.x1 - edge;
        const double t0 = in.y0 + edge + depth, t1 = in.y1 - edge - depth;
        add_apartment_row({s0, t0, s0 + depth, t1}, false);
        add_apartment_row({s1 - depth, t0, s1, t1}, false);
        if (block_.tint < 0.3f)
            add_parking_lot({s0 + depth + 16.0, t0 + 5.0, s1 - depth - 16.0, t1 - 5.0}, 0.18);
    } else {
        // Parallel slabs among lawns.
        for (double s = in.x0 + 5.0; s + depth < in.x1 - 3.0; s += depth + 21.0)
            add_apartment_row({s, in.y0 + 6.0, s + depth, in.y1 - 6.0}, false);
    }
}

void BlockBuilder::add_industry() {
    const Rectangle in{inner_.x0 + 5.0, inner_.y0 + 5.0, inner_.x1 - 5.0, inner_.y1 - 5.0};
    const double split = mix(in.x0, in.x1, random_.uniform(0.48, 0.66));
    const bool mirrored = chance(0.5);
    const double hall0 = mirrored ? in.x0 + in.x1 - split : in.x0, hall1 = mirrored ? in.x1 : split;
    const int halls = 1 + static_cast<int>(random_.below(3));
    const double pitch = in.height() / halls;
    for (int k = 0; k < halls; ++k) {
        const double t0 = in.y0 + k * pitch, t1 = t0 + pitch - (halls > 1 ? 11.0 : 0.0);
        Building hall;
        hall.box = fitted(
            box_at({0.5 * (hall0 + hall1), 0.5 * (t0 + t1)}, 0.5 * (hall1 - hall0), 0.5 * (t1 - t0), 0.0));
        hall.eaves = static_cast<float>(random_.uniform(6.0, 13.0));
        hall.tint = static_cast<float>(random_.uniform());
        hall.roof = hall_roof(random_.uniform());
        const bool pitched = hall.roof == Material::metal && chance(0.7);
        hall.shape = pitched ? RoofShape::gable : RoofShape::flat;
        if (pitched) hall.ridge = static_cast<float>(0.14 * hall.box.half_width);
        add_building(hall, 8.0);
    }
    const double lot0 = mirrored ? in.x0 : split + 9.0, lot1 = mirrored ? hall0 - 9.0 : in.x1;
    if (lot1 - lot0 > 20.0)
        add_parking_lot({lot0, in.y0, lot1, mix(in.y0, in.y1, random_.uniform(0.45, 0.8))},
                        random_.uniform(0.06, 0.16));
}

void BlockBuilder::add_site() {
    Building shell;
    shell.box = fitted(box_at({mix(inner_.x0, inner_.x1, random_.uniform(0.3, 0.7)),
                               mix(inner_.y0, inner_.y1, random_.uniform(0.35, 0.65))},
                              random_.uniform(12.0, 18.0), random_.uniform(7.0, 11.0), 0.0));
    shell.eaves = static_cast<float>(random_.uniform(4.0, 12.0));
    shell.roof = Material::roof_gravel;
    shell.tint = static_cast<float>(random_.uniform());
    add_building(shell, 8.0);
    const int heaps = 2 + static_cast<int>(random_.below(4));
    for (int k = 0; k < heaps; ++k) {
        const Point st{random_.uniform(inner_.x0 + 10, inner_.x1 - 10),
                       random_.uniform(inner_.y0 + 10, inner_.y1 - 10)};
        content_.mounds.push_back({scene_point(st), random_.uniform(5.0, 9.0), random_.uniform(1.2, 2.6)});
    }
    for (int k = 0; k < 3; ++k) {
        const Point st{random_.uniform(inner_.x0 + 4, inner_.x1 - 4),
                       random_.uniform(inner_.y0 + 4, inner_.y1 - 4)};
        const double angle = random_.uniform(0.0, 3.14);
        add_car(scene_point(st), {std::cos(angle), std::sin(angle)});
    }
}

}  // namespace terrane::synth
