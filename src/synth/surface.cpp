#include "synth/surface.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "synth/block_builder.hpp"
#include "synth/ground_cover.hpp"
#include "synth/object_shapes.hpp"

namespace terrane::synth {

namespace {

constexpr double bank_width = 2.5;  ///< grass between the water and anything built
constexpr double bridge_clearance = 4.0;
constexpr double frame_stretch = 1.25;  ///< bound of a length in the road frame per metre of the scene

/// Bounds in the road frame of a rectangle of the scene: its edge is sampled, the rest covered by a margin.
Rectangle frame_bounds(const RoadFrame& frame, const Rectangle& area) {
    const Point start = frame.to_frame({area.x0, area.y0});
    Rectangle bounds{start.x, start.y, start.x, start.y};
    const auto include = [&](double x, double y) {
        const Point p = frame.to_frame({x, y});
        bounds = {std::min(bounds.x0, p.x), std::min(bounds.y0, p.y), std::max(bounds.x1, p.x),
                  std::max(bounds.y1, p.y)};
    };
    const double step = 20.0;
    const auto across = static_cast<int>(std::ceil(area.width() / step)),
               down = static_cast<int>(std::ceil(area.height() / step));
    for (int k = 0; k <= across; ++k) {
        const double x = std::min(area.x1, area.x0 + k * step);
        include(x, area.y0);
        include(x, area.y1);
    }
    for (int k = 0; k <= down; ++k) {
        const double y = std::min(area.y1, area.y0 + k * step);
        include(area.x0, y);
        include(area.x1, y);
    }
    const double margin = 6.0;
    return {bounds.x0 - margin, bounds.y0 - margin, bounds.x1 + margin, bounds.y1 + margin};
}

template <typename Object>
void enter(ObjectIndex& index, const RoadFrame& frame, ObjectKind kind, const std::vector<Object>& objects) {
    for (std::size_t k = 0; k < objects.size(); ++k) {
        const auto& object = objects[k];
        Point center;
        double radius = 0;
        if constexpr (requires { object.box; }) {
            center = object.box.center;
            radius = object.box.radius();
        } else {
            center = object.center;
            radius = static_cast<double>(object.radius) * 1.1;
        }
        index.add({kind, static_cast<std::uint32_t>(k)}, frame.to_frame(center), radius * frame_stretch);
    }
}

bool intersects(const Rectangle& a, const Rectangle& b) {
    return a.x0 < b.x1 && b.x0 < a.x1 && a.y0 < b.y1 && b.y0 < a.y1;
}

/// A through road crosses the water where it meets it at more than 30 degrees; elsewhere the bank interrupts
/// it.
bool bridged(const Landscape& landscape, const RoadPosition& road, const River& river, Point frame) {
    if (road.level < RoadLevel::secondary) return false;
    const Point direction =
        road.along_v ? landscape.frame().v_direction(frame) : landscape.frame().u_direction(frame);
    return std::abs(direction.x * river.direction.y - direction.y * river.direction.x) > 0.5;
}

}  // namespace

Neighbourhood::Neighbourhood(const Landscape& landscape, const Rectangle& area) : landscape_(landscape) {
    const Rectangle bounds = frame_bounds(landscape.frame(), area);
    first_i_ = Layout::superblock_of(bounds.x0);
    first_j_ = Layout::superblock_of(bounds.y0);
    columns_ = Layout::superblock_of(bounds.x1) - first_i_ + 1;
    const std::int64_t rows = Layout::superblock_of(bounds.y1) - first_j_ + 1;
    superblocks_.resize(static_cast<std::size_t>(columns_ * rows));
    for (std::int64_t j = 0; j < rows; ++j) {
        for (std::int64_t i = 0; i < columns_; ++i) {
            std::vector<Built>& built = superblocks_[static_cast<std::size_t>(j * columns_ + i)];
            for (const Block& block : landscape.blocks(first_i_ + i, first_j_ + j)) {
                if (!intersects(block.outline, bounds)) continue;
                Built next{block, BlockBuilder(landscape, block).build(), ObjectIndex(block.outline)};
                // Ground first, then what stands on it: put_* of solid objects keep the higher one.
                enter(next.index, landscape.frame(), ObjectKind::patch, next.content.patches);
                enter(next.index, landscape.frame(), ObjectKind::mound, next.content.mounds);
                enter(next.index, landscape.frame(), ObjectKind::building, next.content.buildings);
                enter(next.index, landscape.frame(), ObjectKind::car, next.content.cars);
                enter(next.index, landscape.frame(), ObjectKind::tree, next.content.trees);
                next.index.build();
                built.push_back(std::move(next));
            }
        }
    }
}

std::vector<const BlockContent*> Neighbourhood::contents() const {
    std::vector<const BlockContent*> result;
    for (const auto& superblock : superblocks_)
        for (const Built& built : superblock) result.push_back(&built.content);
    return result;
}

const Neighbourhood::Built& Neighbourhood::find(Point frame) const {
    const std::int64_t i = Layout::superblock_of(frame.x) - first_i_,
                       j = Layout::superblock_of(frame.y) - first_j_;
    const std::int64_t place = j * columns_ + i;
    TERRANE_ASSERT(i >= 0 && i < columns_ && j >= 0 && place < static_cast<std::int64_t>(superblocks_.size()),
                   "point ({}, {}) of the road frame lies outside its neighbourhood", frame.x, frame.y);
    for (const Built& built : superblocks_[static_cast<std::size_t>(place)])
        if (built.block.outline.contains(frame)) return built;
    throw InternalError("a point of the road frame lies in no block of its neighbourhood");
}

SurfacePoint Neighbourhood::at(Point p) const {
    const Point frame = landscape_.frame().to_frame(p);
    const Built& built = find(frame);
    const River river = landscape_.terrain().river(p);
    double ground = landscape_.terrain().ground(p, river);
    SurfacePoint point;

    const RoadPosition road = road_position(built.block, frame);
    const bool on_road = road.kerb_distance < 0 || (road.level >= RoadLevel::residential &&
                                                    road.kerb_distance < built.block.sidewalk());
    if (on_road && river.bank_distance < 45.0 && bridged(landscape_, road, river, frame)) {
        ground = std::max(ground, river.level + bridge_clearance - 0.1 * std::max(0.0, river.bank_distance));
    } else if (river.bank_distance < 0) {
        point.height = point.ground = static_cast<float>(river.level);
        point.material = Material::river;
    } else if (river.bank_distance < bank_width) {
        point.material = Material::meadow;
        point.height = point.ground = static_cast<float>(ground);
    }
    const bool wet = river.bank_distance < bank_width && ground < river.level + 2.0;

    if (!wet) {
        double pond = 1e9;  // metres to the water of the block's pond
        if (built.content.pond) {
            const Pond& water = *built.content.pond;
            const double qx = (p.x - water.center.x) / water.radius_x,
                         qy = (p.y - water.center.y) / water.radius_y;
            const double ripple =
                0.16 * static_cast<double>(landscape_.noise().at(Field::shore, p.x / 15.0, p.y / 15.0)) +
                0.05 * static_cast<double>(landscape_.noise().at(Field::shore, p.x / 5.0, p.y / 5.0));
            pond = (std::sqrt(qx * qx + qy * qy) + ripple - 1.0) * std::min(water.radius_x, water.radius_y);
            ground = pond <= 0 ? water.level : mix(water.level + 0.15, ground, smoothstep(0.0, 14.0, pond));
        }
        point.height = point.ground = static_cast<float>(ground);
        if (on_road) {
            set_road(road, point);
        } else if (pond <= 0) {
            point.material = Material::pond;
            point.tint = built.block.tint;
        } else {
            set_land(landscape_, built.block, built.content, p, frame, point);
        }
        const LandCover cover = info(point.material).cover;
        if (cover == LandCover::low_vegetation || cover == LandCover::bare_soil)
            point.height += static_cast<float>(landscape_.terrain().micro_relief(p));
    }

    for (const ObjectReference& object : built.index.at(frame)) {
        const BlockContent& content = built.content;
        switch (object.kind) {
            case ObjectKind::patch:
                if (!wet && !on_road) put_patch(content.patches[object.index], p, point);
                break;
            case ObjectKind::mound:
                if (!wet && !on_road) put_mound(content.mounds[object.index], p, point);
                break;
            case ObjectKind::building:
                put_building(content.buildings[object.index], p, point);
                break;
            case ObjectKind::car:
                put_car(content.cars[object.index], p, point);
                break;
            case ObjectKind::tree:
                put_tree(content.trees[object.index], landscape_.noise(), p, point);
                break;
        }
    }
    return point;
}

}  // namespace terrane::synth
