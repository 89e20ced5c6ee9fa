#pragma once

#include <cstdint>

#include "synth/landscape.hpp"
#include "synth/objects.hpp"

namespace terrane::synth {

/// Fills one block of land with objects, one member function per kind of thing. Placement works in the
/// block's own (s, t) frame: the road frame with s along the block's longer edge, so that no recipe exists
/// twice.
class BlockBuilder {
  public:
    BlockBuilder(const Landscape& landscape, const Block& block);

    /// The block's content; a pure function of (seed, block).
    BlockContent build();

  private:
    // buildings.cpp
    void add_houses();
    void add_house_lot(double s, double width, double edge, double inward, double depth);
    void add_apartments();
    void add_apartment_row(Rectangle strip, bool along_s);
    void add_industry();
    void add_site();
    bool add_building(Building building, double clearance);

    // cars.cpp
    void add_parking_lot(Rectangle area, double occupancy);
    void add_street_cars();
    void add_car(Point center, Point direction);

    // vegetation.cpp
    void add_trees();
    void add_street_trees();
    void add_boundary_trees();
    void add_riparian_trees();
    void add_wood();
    void add_orchard();
    void add_scattered_trees(int count, float smallest, float largest);
    bool add_tree(Point center, float radius, float height, Material kind);
    void add_pond(double chance);
    void add_path();

    /// (s, t) -> road frame -> scene.
    Point frame_point(Point st) const { return exchanged_ ? Point{st.y, st.x} : st; }
    Point scene_point(Point st) const { return landscape_.frame().to_scene(frame_point(st)); }
    /// Unit vector in the scene in which s grows.
    Point s_direction(Point st) const;
    /// A box around (s, t), its long axis turned by `turn` radians from the direction of s.
    Box box_at(Point st, double half_length, double half_width, double turn) const;
    /// The same box shrunk until its corners lie in the block's interior; a box of size 0 if that takes too
    /// much.
    Box fitted(Box box) const;
    bool inside(Point scene, double margin) const;
    double ground(Point scene) const { return landscape_.terrain().ground(scene); }
    double river_distance(Point scene) const { return landscape_.terrain().river(scene).bank_distance; }
    bool chance(double probability) { return random_.uniform() < probability; }

    const Landscape& landscape_;
    const Block& block_;
    bool exchanged_;   ///< s runs along v
    Rectangle inner_;  ///< the interior in (s, t)
    PhiloxStream random_;
    BlockContent content_;
};

}  // namespace terrane::synth
