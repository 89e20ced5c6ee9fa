#include "synth/noise.hpp"

namespace terrane::synth {

namespace {

/// Perlin's quintic: first and second derivative vanish at 0 and 1.
float fade(float t) {
    return t * t * t * (t * (t * 6.0f - 15.0f) + 10.0f);
}

/// Without the function call that std::floor is on a plain x86-64.
std::int64_t floor_of(double value) {
    const auto truncated = static_cast<std::int64_t>(value);
    return truncated - (value < static_cast<double>(truncated) ? 1 : 0);
}

}  // namespace

Noise::Noise(std::uint64_t seed) {
    PhiloxStream stream = cell_stream(seed, Purpose::lattice, 0, 0);
    for (float& value : table_) value = static_cast<float>(stream.uniform(-1.0, 1.0));
}

float Noise::lattice(Field field, std::int64_t ix, std::int64_t iy) const {
    std::uint32_t hash = static_cast<std::uint32_t>(ix) * 0x9E3779B1u ^
                         static_cast<std::uint32_t>(iy) * 0x85EBCA77u ^
                         static_cast<std::uint32_t>(field) * 0xC2B2AE3Du;
    hash ^= hash >> 15;
    hash *= 0x2C1B3C6Du;
    hash ^= hash >> 12;
    return table_[hash % entries];
}

float Noise::at(Field field, double x, double y) const {
    const std::int64_t ix = floor_of(x), iy = floor_of(y);
    const float fx = fade(static_cast<float>(x - static_cast<double>(ix)));
    const float fy = fade(static_cast<float>(y - static_cast<double>(iy)));
    const float top = lattice(field, ix, iy) * (1 - fx) + lattice(field, ix + 1, iy) * fx;
    const float bottom = lattice(field, ix, iy + 1) * (1 - fx) + lattice(field, ix + 1, iy + 1) * fx;
    return top * (1 - fy) + bottom * fy;
}

float Noise::at(Field field, double s) const {
    const std::int64_t is = floor_of(s);
    const float fs = fade(static_cast<float>(s - static_cast<double>(is)));
    return lattice(field, is, 0) * (1 - fs) + lattice(field, is + 1, 0) * fs;
}

float Noise::fractal(Field field, double x, double y, int octaves) const {
    float sum = 0, amplitude = 1;
    for (int octave = 0; octave < octaves; ++octave) {
        sum += amplitude * at(field, x, y);
        amplitude *= 0.5f;
        // Turning by about 37 degrees keeps the octaves' lattices from lining up.
        const double turned = 1.6 * x - 1.2 * y + 17.3;
        y = 1.2 * x + 1.6 * y - 5.9;
        x = turned;
    }
    return sum;
}

}  // namespace terrane::synth
