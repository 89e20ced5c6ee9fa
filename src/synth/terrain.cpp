#include "synth/terrain.hpp"

#include <cmath>

namespace terrane::synth {

namespace {

constexpr double river_spacing = 2900.0;
constexpr double valley_width = 260.0;  ///< metres from the bank to where the hills are themselves
constexpr double fall = 0.0012;         ///< of the rivers and of the plain
constexpr double base_height = 430.0;
constexpr double out_of_sight = 600.0;  ///< from here on nothing depends on the river but its level
constexpr Point anchor{250.0, 250.0};   ///< the first river passes near this point

}  // namespace

Terrain::Terrain(std::uint64_t seed, const Noise& noise) : noise_(noise) {
    PhiloxStream stream = cell_stream(seed, Purpose::frame, 0, 0);
    const double angle = stream.uniform(-3.14159265358979, 3.14159265358979);
    cos_ = std::cos(angle);
    sin_ = std::sin(angle);
}

double Terrain::course(double along, std::int64_t number) const {
    const double offset = static_cast<double>(number) * 57.3;
    return 55.0 * noise_.at(Field::river_course, along / 170.0 + offset) +
           60.0 * noise_.at(Field::river_course, along / 520.0 + offset + 1000.5) +
           260.0 * noise_.at(Field::river_course, along / 2300.0 + offset + 2000.5);
}

River Terrain::river(Point p) const {
    const double dx = p.x - anchor.x, dy = p.y - anchor.y;
    const double along = dx * cos_ + dy * sin_, across = -dx * sin_ + dy * cos_;
    const auto number = static_cast<std::int64_t>(std::floor(across / river_spacing + 0.5));
    const double start = static_cast<double>(number) * 57.3;
    // The first river's course is shifted so that it meets the anchor exactly.
    const double shift = static_cast<double>(number) * river_spacing - course(0.0, number);

    const double center = shift + course(along, number);
    River result;
    result.level = base_height - fall * along;
    if (std::abs(across - center) > out_of_sight) {
        result.bank_distance = std::abs(across - center);
        return result;
    }
    const double slope = (course(along + 2.0, number) - course(along - 2.0, number)) / 4.0;
    const double stretch = std::sqrt(1.0 + slope * slope);
    const double half_width = 11.5 + 3.5 * noise_.at(Field::river_width, along / 90.0 + start);

    result.bank_distance = std::abs(across - center) / stretch - half_width +
                           0.7 * noise_.at(Field::shore, p.x / 7.0, p.y / 7.0);
    result.direction = {(cos_ - slope * sin_) / stretch, (sin_ + slope * cos_) / stretch};
    return result;
}

double Terrain::ground(Point p, const River& river) const {
    if (river.bank_distance <= 0) return river.level;
    const double hills = 15.0 + 11.0 * noise_.at(Field::relief, p.x / 420.0, p.y / 420.0) +
                         3.0 * noise_.at(Field::relief, p.x / 140.0 + 77.0, p.y / 140.0 - 31.0);
    const double bank = 1.3 * smoothstep(0.0, 5.0, river.bank_distance);
    return river.level + bank + hills * smoothstep(0.0, valley_width, river.bank_distance);
}

double Terrain::micro_relief(Point p) const {
    return 0.10 * noise_.at(Field::micro_relief, p.x / 9.0, p.y / 9.0) +
           0.04 * noise_.at(Field::micro_relief, p.x / 1.7 + 9.0, p.y / 1.7);
}

}  // namespace terrane::synth
