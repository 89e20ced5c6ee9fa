#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace terrane::synth {

/// The classes of the truth; the numbers are the values in labels.tif.
enum class LandCover : std::uint8_t { impervious, building, low_vegetation, tree, water, car, bare_soil };
inline constexpr std::size_t land_cover_count = 7;
inline constexpr std::uint8_t label_nodata = 255;

struct LandCoverInfo {
    std::string_view name;
    std::array<std::uint8_t, 3> color;
};
const LandCoverInfo& info(LandCover cover);

/// What the eye and the sensors see; every material belongs to one class.
enum class Material : std::uint8_t {
    asphalt,
    worn_asphalt,
    concrete,
    sidewalk,
    gravel_path,
    red_tile,
    brown_tile,
    slate,
    bitumen,  ///< flat roofs of the colour of asphalt: told from roads by their height only
    roof_gravel,
    membrane,
    metal,
    green_roof,  ///< vegetated flat roofs of the colour of meadow
    lawn,
    meadow,
    dry_grass,
    young_crop,
    mature_crop,
    maize,
    broadleaf,
    conifer,
    river,
    pond,
    dark_soil,
    light_soil,
    dirt_track,
    construction_soil,
    car_paint,
    car_glass,
};
inline constexpr std::size_t material_count = 29;

using Reflectance = std::array<float, 4>;  ///< red, green, blue, near infrared; 0 to 1

/// How a material looks to the optical sensor and to the radar. Independent of the seed: two scenes show the
/// same classes alike.
struct MaterialInfo {
    LandCover cover;
    Reflectance reflectance;
    float object_variation;  ///< brightness from object to object, relative
    float coarse_texture;    ///< relative amplitude at 12 m wavelength
    float middle_texture;    ///< at 3 m
    float fine_texture;      ///< at 0.8 m
    float backscatter_vv;    ///< linear
    float backscatter_vh;
};
const MaterialInfo& info(Material material);

/// The reflectance of one object: `tint` in [0, 1) is its own random number. Car paint takes its colour from
/// it.
Reflectance reflectance_of(Material material, float tint);

}  // namespace terrane::synth
