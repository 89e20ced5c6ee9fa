#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "synth/geometry.hpp"
#include "synth/material.hpp"

namespace terrane::synth {

enum class RoofShape : std::uint8_t { flat, gable, hip };

struct Building {
    Box box;
    RoofShape shape = RoofShape::flat;
    Material roof = Material::bitumen;
    float tint = 0;
    float eaves = 0;  ///< height of the walls above `base`, metres
    float ridge = 0;  ///< what the roof adds at its highest line; 0 for flat roofs
    double base = 0;  ///< the highest ground under it
};

struct Tree {
    Point center;
    Material kind = Material::broadleaf;
    float radius = 0;
    float height = 0;
    float tint = 0;
    double base = 0;
};

enum class CarShape : std::uint8_t { saloon, van };

struct Car {
    Box box;
    CarShape shape = CarShape::saloon;
    float tint = 0;
    float height = 0;
};

enum class Pattern : std::uint8_t { plain, parking_stalls };

/// A piece of ground with another cover than its block: driveway, terrace, flower bed, parking lot.
struct Patch {
    Box box;
    Material material = Material::concrete;
    Pattern pattern = Pattern::plain;
    float tint = 0;
};

/// Depth of two rows of stalls and the aisle between them, metres.
double parking_module();
/// Share of white paint at a point of a parking lot, in the lot's own coordinates.
float parking_mark(Point local, const Box& lot);

struct Pond {
    Point center;
    double radius_x = 0;
    double radius_y = 0;
    double level = 0;
};

/// A heap of earth: bare soil that is not flat.
struct Mound {
    Point center;
    double radius = 0;
    double height = 0;
};

/// A footpath winding along a block in the road frame: v = v0 + amplitude sin(u / wavelength + phase), or
/// with the axes exchanged.
struct Footpath {
    bool along_u = true;
    double offset = 0;
    double amplitude = 0;
    double wavelength = 1;
    double phase = 0;
};

enum class ObjectKind : std::uint8_t { patch, mound, building, car, tree };

struct ObjectReference {
    ObjectKind kind;
    std::uint32_t index;
};

/// Everything in one block of land.
struct BlockContent {
    std::vector<Patch> patches;
    std::vector<Mound> mounds;
    std::vector<Building> buildings;
    std::vector<Car> cars;
    std::vector<Tree> trees;
    std::optional<Pond> pond;
    std::optional<Footpath> path;
};

}  // namespace terrane::synth
