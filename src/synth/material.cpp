#include "synth/material.hpp"

#include <cmath>

namespace terrane::synth {

namespace {

constexpr std::array<LandCoverInfo, land_cover_count> covers{{
    {"impervious", {200, 200, 200}},
    {"building", {220, 50, 40}},
    {"low_vegetation", {150, 210, 90}},
    {"tree", {25, 110, 45}},
    {"water", {50, 110, 210}},
    {"car", {255, 220, 0}},
    {"bare_soil", {165, 115, 70}},
}};

using enum LandCover;

// Reflectances after the usual spectral libraries, rounded; backscatter at C band, 35 degrees of incidence.
constexpr std::array<MaterialInfo, material_count> materials{{
    {impervious, {0.115f, 0.115f, 0.118f, 0.135f}, 0.12f, 0.07f, 0.05f, 0.05f, 0.018f, 0.0025f},  // asphalt
    {impervious,
     {0.175f, 0.170f, 0.165f, 0.195f},
     0.12f,
     0.09f,
     0.07f,
     0.05f,
     0.022f,
     0.0030f},  // worn_asphalt
    {impervious, {0.285f, 0.275f, 0.255f, 0.315f}, 0.12f, 0.07f, 0.05f, 0.06f, 0.035f, 0.0050f},  // concrete
    {impervious, {0.245f, 0.235f, 0.225f, 0.275f}, 0.06f, 0.05f, 0.05f, 0.06f, 0.035f, 0.0050f},  // sidewalk
    {impervious,
     {0.340f, 0.315f, 0.270f, 0.370f},
     0.08f,
     0.06f,
     0.05f,
     0.06f,
     0.045f,
     0.0060f},                                                                                  // gravel_path
    {building, {0.300f, 0.150f, 0.105f, 0.360f}, 0.20f, 0.05f, 0.06f, 0.06f, 0.200f, 0.0220f},  // red_tile
    {building, {0.185f, 0.125f, 0.100f, 0.250f}, 0.20f, 0.05f, 0.06f, 0.06f, 0.200f, 0.0220f},  // brown_tile
    {building, {0.085f, 0.090f, 0.100f, 0.105f}, 0.20f, 0.05f, 0.05f, 0.05f, 0.180f, 0.0180f},  // slate
    {building, {0.120f, 0.120f, 0.122f, 0.140f}, 0.14f, 0.09f, 0.07f, 0.04f, 0.130f, 0.0140f},  // bitumen
    {building, {0.250f, 0.240f, 0.220f, 0.285f}, 0.15f, 0.09f, 0.06f, 0.06f, 0.140f, 0.0150f},  // roof_gravel
    {building, {0.560f, 0.560f, 0.550f, 0.570f}, 0.15f, 0.06f, 0.04f, 0.03f, 0.150f, 0.0150f},  // membrane
    {building, {0.330f, 0.350f, 0.375f, 0.365f}, 0.15f, 0.05f, 0.04f, 0.03f, 0.220f, 0.0150f},  // metal
    {building, {0.120f, 0.140f, 0.070f, 0.350f}, 0.15f, 0.16f, 0.12f, 0.10f, 0.120f, 0.0180f},  // green_roof
    {low_vegetation, {0.085f, 0.130f, 0.055f, 0.410f}, 0.14f, 0.12f, 0.07f, 0.06f, 0.055f, 0.0100f},  // lawn
    {low_vegetation,
     {0.115f, 0.140f, 0.065f, 0.370f},
     0.14f,
     0.18f,
     0.12f,
     0.10f,
     0.065f,
     0.0120f},  // meadow
    {low_vegetation,
     {0.195f, 0.185f, 0.105f, 0.340f},
     0.14f,
     0.16f,
     0.12f,
     0.08f,
     0.060f,
     0.0100f},  // dry_grass
    {low_vegetation,
     {0.075f, 0.125f, 0.055f, 0.460f},
     0.18f,
     0.10f,
     0.05f,
     0.07f,
     0.090f,
     0.0190f},  // young_crop
    {low_vegetation,
     {0.265f, 0.230f, 0.120f, 0.370f},
     0.14f,
     0.08f,
     0.05f,
     0.05f,
     0.070f,
     0.0150f},  // mature_crop
    {low_vegetation, {0.055f, 0.105f, 0.045f, 0.490f}, 0.14f, 0.09f, 0.05f, 0.08f, 0.120f, 0.0280f},  // maize
    {tree, {0.055f, 0.092f, 0.040f, 0.430f}, 0.30f, 0.08f, 0.14f, 0.22f, 0.150f, 0.0480f},       // broadleaf
    {tree, {0.036f, 0.060f, 0.036f, 0.275f}, 0.22f, 0.06f, 0.12f, 0.22f, 0.130f, 0.0400f},       // conifer
    {water, {0.036f, 0.056f, 0.052f, 0.014f}, 0.06f, 0.10f, 0.04f, 0.03f, 0.0030f, 0.0004f},     // river
    {water, {0.026f, 0.046f, 0.046f, 0.012f}, 0.20f, 0.08f, 0.03f, 0.03f, 0.0022f, 0.0003f},     // pond
    {bare_soil, {0.155f, 0.118f, 0.086f, 0.205f}, 0.14f, 0.14f, 0.07f, 0.06f, 0.085f, 0.0080f},  // dark_soil
    {bare_soil, {0.265f, 0.205f, 0.145f, 0.320f}, 0.14f, 0.12f, 0.07f, 0.06f, 0.075f, 0.0070f},  // light_soil
    {bare_soil, {0.275f, 0.220f, 0.160f, 0.325f}, 0.10f, 0.10f, 0.08f, 0.07f, 0.050f, 0.0060f},  // dirt_track
    {bare_soil,
     {0.325f, 0.265f, 0.190f, 0.370f},
     0.10f,
     0.15f,
     0.10f,
     0.08f,
     0.080f,
     0.0070f},  // construction_soil
    {car, {0.000f, 0.000f, 0.000f, 0.000f}, 0.00f, 0.00f, 0.00f, 0.04f, 0.600f, 0.0600f},  // car_paint
    {car, {0.045f, 0.050f, 0.058f, 0.045f}, 0.00f, 0.00f, 0.00f, 0.04f, 0.600f, 0.0600f},  // car_glass
}};

struct Paint {
    float share;
    Reflectance reflectance;
};
// Shares of new-car colours, roughly those of Europe.
constexpr std::array<Paint, 7> paints{{
    {0.27f, {0.66f, 0.66f, 0.65f, 0.64f}},     // white
    {0.20f, {0.40f, 0.41f, 0.42f, 0.42f}},     // silver
    {0.16f, {0.035f, 0.035f, 0.038f, 0.04f}},  // black
    {0.13f, {0.22f, 0.225f, 0.23f, 0.23f}},    // grey
    {0.11f, {0.42f, 0.05f, 0.05f, 0.46f}},     // red
    {0.10f, {0.05f, 0.10f, 0.34f, 0.22f}},     // blue
    {0.03f, {0.55f, 0.42f, 0.08f, 0.55f}},     // yellow
}};

}  // namespace

const LandCoverInfo& info(LandCover cover) {
    return covers[static_cast<std::size_t>(cover)];
}

const MaterialInfo& info(Material material) {
    return materials[static_cast<std::size_t>(material)];
}

Reflectance reflectance_of(Material material, float tint) {
    if (material == Material::car_paint) {
        for (const Paint& paint : paints) {
            if (tint < paint.share) return paint.reflectance;
            tint -= paint.share;
        }
        return paints.back().reflectance;
    }
    const MaterialInfo& properties = info(material);
    Reflectance result = properties.reflectance;
    const float brightness = 1.0f + properties.object_variation * (2.0f * tint - 1.0f);
    // A second number from the same draw shifts the balance of red and blue a little.
    const float second = tint * 16.0f - std::floor(tint * 16.0f);
    const float shift = 0.25f * properties.object_variation * (2.0f * second - 1.0f);
    result[0] *= brightness * (1.0f + shift);
    result[1] *= brightness;
    result[2] *= brightness * (1.0f - shift);
    result[3] *= brightness;
    return result;
}

}  // namespace terrane::synth
