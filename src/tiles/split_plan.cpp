#include "tiles/split_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <regex>

#include "base/error.hpp"
#include "base/philox.hpp"
#include "raster/placement.hpp"
#include "raster/scene_files.hpp"

namespace terrane::tiles {

namespace {

constexpr std::int64_t fewest_blocks = 12;
constexpr int draws = 512;
constexpr std::uint64_t draw_key =
    0x7465727261ull;  // fixed: another training seed must not move the test set

std::int64_t round_up(std::int64_t value, std::int64_t to) {
    return (value + to - 1) / to * to;
}

/// Starts of tiles along one axis of a part: every stride, and with `to_the_end` one flush with the end.
std::vector<std::int64_t> starts(std::int64_t from, std::int64_t length, std::int64_t tile,
                                 std::int64_t stride, std::int64_t align, bool to_the_end) {
    std::vector<std::int64_t> result;
    const std::int64_t begin = round_up(from, align);
    const std::int64_t last = (from + length - tile) / align * align;
    for (std::int64_t at = begin; at <= last; at += stride) result.push_back(at);
    if (to_the_end && !result.empty() && result.back() < last) result.push_back(last);
    return result;
}

/// The pixels of a grid whose whole area lies inside a rectangle on the ground (north-up grids).
raster::Window window_inside(const raster::Grid& grid, const raster::Bounds& bounds) {
    const auto& t = grid.transform;
    const auto clamped = [](double value, std::int64_t high) {
        return static_cast<std::int64_t>(std::clamp(value, 0.0, static_cast<double>(high)));
    };
    raster::Window window;
    window.column = clamped(std::ceil((bounds.west - t[0]) / t[1] - 1e-6), grid.width);
    window.row = clamped(std::ceil((bounds.north - t[3]) / t[5] - 1e-6), grid.height);
    window.width = clamped(std::floor((bounds.east - t[0]) / t[1] + 1e-6), grid.width) - window.column;
    window.height = clamped(std::floor((bounds.south - t[3]) / t[5] + 1e-6), grid.height) - window.row;
    return window;
}

/// Most blocks along an edge that are all at least `block` wide when borders lie at multiples of `align`.
std::int64_t block_count(std::int64_t edge, std::int64_t block, std::int64_t align) {
    for (std::int64_t count = edge / block; count > 1; --count) {
        std::int64_t narrowest = edge;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t end = i + 1 == count ? edge : edge * (i + 1) / count / align * align;
            narrowest = std::min(narrowest, end - edge * i / count / align * align);
        }
        if (narrowest >= block) return count;
    }
    return 1;
}

double score(const std::vector<Block>& blocks, const std::vector<Split>& splits,
             const std::array<double, 3>& fractions, std::size_t classes) {
    std::vector<double> per_class(classes * 3);
    std::array<std::int64_t, 3> used{};
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const auto split = static_cast<std::size_t>(splits[i]);
        ++used[split];
        for (std::size_t c = 0; c < classes; ++c)
            per_class[c * 3 + split] += static_cast<double>(blocks[i].class_pixels[c]);
    }
    double penalty = 0;
    std::array<double, 3> sum{};
    for (std::size_t c = 0; c < classes; ++c) {
        const double total = per_class[c * 3] + per_class[c * 3 + 1] + per_class[c * 3 + 2];
        if (total == 0) continue;
        for (std::size_t s = 0; s < 3; ++s) {
            sum[s] += per_class[c * 3 + s];
            if (fractions[s] <= 0) continue;
            if (per_class[c * 3 + s] == 0) penalty += s == 0 ? 1000 : 20;
            penalty += std::abs(per_class[c * 3 + s] / total - fractions[s]) / static_cast<double>(classes);
        }
    }
    const double all = sum[0] + sum[1] + sum[2];
    for (std::size_t s = 0; s < 3; ++s) {
        if (fractions[s] > 0 && used[s] == 0) penalty += 100'000;
        penalty += 4 * std::abs(sum[s] / all - fractions[s]);
    }
    return penalty;
}

[[noreturn]] void refuse_overlap(const std::string& what) {
    throw Error(ExitCode::data_invalid, 301, what,
                "Splits must not share ground: scores would be of pixels seen in training.");
}

}  // namespace

std::int64_t tile_alignment(const config::Config& config) {
    std::int64_t align = 1;
    for (const config::Modality& modality : config.modalities) align = std::lcm(align, modality.scale);
    const std::int64_t stride = config.grid.stride > 0 ? config.grid.stride : config.grid.tile;
    if (config.grid.tile % align != 0 || stride % align != 0) {
        throw Error(
            ExitCode::config_invalid, 502,
            fmt::format(
                "grid.tile {} and grid.stride {} must be multiples of every modality's scale, together {}.",
                config.grid.tile, stride, align),
            fmt::format("Use grid.tile = {}.", round_up(config.grid.tile, align)));
    }
    return align;
}

std::int64_t buffer_pixels(const config::Config& config, const raster::Grid& grid) {
    const double pixel = std::min(std::hypot(grid.transform[1], grid.transform[4]),
                                  std::hypot(grid.transform[2], grid.transform[5]));
    return static_cast<std::int64_t>(std::ceil(config.split.buffer / pixel - 1e-6));
}

std::vector<Block> make_blocks(const config::Config& config, const std::vector<raster::Grid>& grids) {
    const std::int64_t tile = config.grid.tile;
    std::int64_t gap = 0;
    for (const raster::Grid& grid : grids) gap = std::max(gap, round_up(buffer_pixels(config, grid), 2));
    const std::int64_t align = tile_alignment(config);
    const std::int64_t smallest = tile + gap;
    std::int64_t edge = std::max(smallest, config.split.block * tile);
    const auto total = [&] {
        std::int64_t count = 0;
        for (const raster::Grid& grid : grids)
            count += block_count(grid.width, edge, align) * block_count(grid.height, edge, align);
        return count;
    };
    while (edge > smallest && total() < fewest_blocks) edge = std::max(smallest, edge * 4 / 5);
    std::vector<Block> blocks;
    for (std::size_t scene = 0; scene < grids.size(); ++scene) {
        const raster::Grid& grid = grids[scene];
        const std::int64_t columns = block_count(grid.width, edge, align);
        const std::int64_t rows = block_count(grid.height, edge, align);
        const auto border = [&](std::int64_t i, std::int64_t count, std::int64_t length) {
            return i == count ? length : length * i / count / align * align;
        };
        for (std::int64_t i = 0; i < rows * columns; ++i) {
            Block block;
            block.scene = scene;
            block.index = i;
            const std::int64_t left = border(i % columns, columns, grid.width);
            const std::int64_t top = border(i / columns, rows, grid.height);
            block.window = {left, top, border(i % columns + 1, columns, grid.width) - left,
                            border(i / columns + 1, rows, grid.height) - top};
            block.class_pixels.assign(config.classes.size(), 0);
            blocks.push_back(std::move(block));
        }
    }
    return blocks;
}

void assign_blocks(const config::Config& config, std::vector<Block>& all_blocks) {
    std::vector<Block> blocks;
    std::vector<std::size_t> origin;
    for (std::size_t i = 0; i < all_blocks.size(); ++i) {
        const auto& pixels = all_blocks[i].class_pixels;
        if (std::accumulate(pixels.begin(), pixels.end(), std::int64_t{0}) == 0) continue;
        blocks.push_back(all_blocks[i]);
        origin.push_back(i);
    }
    if (blocks.empty()) return;
    std::array<double, 3> fractions = config.split.fractions;
    const double sum = fractions[0] + fractions[1] + fractions[2];
    for (double& fraction : fractions) fraction /= sum;
    std::vector<double> weight;
    double total = 0;
    for (const Block& block : blocks) {
        weight.push_back(static_cast<double>(
            std::accumulate(block.class_pixels.begin(), block.class_pixels.end(), std::int64_t{0})));
        total += weight.back();
    }
    std::vector<Split> best;
    double best_score = INFINITY;
    for (int draw = 0; draw < draws; ++draw) {
        PhiloxStream stream(draw_key, static_cast<std::uint64_t>(draw));
        std::vector<std::size_t> order(blocks.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        for (std::size_t i = order.size(); i > 1; --i) {
            std::swap(order[i - 1], order[stream.below(static_cast<std::uint32_t>(i))]);
        }
        std::vector<Split> splits(blocks.size());
        std::array<double, 3> filled{};
        for (const std::size_t i : order) {
            // To the split that lacks most of its share; ties to the earlier one.
            std::size_t neediest = 0;
            for (std::size_t s = 1; s < 3; ++s) {
                if (fractions[s] * total - filled[s] > fractions[neediest] * total - filled[neediest])
                    neediest = s;
            }
            splits[i] = all_splits[neediest];
            filled[neediest] += weight[i];
        }
        const double found = score(blocks, splits, fractions, config.classes.size());
        if (found < best_score) {
            best_score = found;
            best = std::move(splits);
        }
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) all_blocks[origin[i]].split = best[i];
}

ScenePlan plan_scene(const config::Config& config, std::size_t scene, const std::string& id,
                     const raster::Grid& grid, const std::vector<Block>& blocks) {
    const config::Split& split = config.split;
    ScenePlan plan;
    plan.buffer = split.buffer;
    if (split.method == "blocks") {
        const std::int64_t half = (buffer_pixels(config, grid) + 1) / 2;
        for (const Block& block : blocks) {
            if (block.scene != scene || !block.split) continue;
            raster::Window inner = block.window;
            // Half the buffer on every side that has a neighbour; the scene's own edge needs none.
            const std::int64_t right = inner.column + inner.width, bottom = inner.row + inner.height;
            const std::int64_t inner_right = right < grid.width ? right - half : right;
            const std::int64_t inner_bottom = bottom < grid.height ? bottom - half : bottom;
            inner.column += inner.column > 0 ? half : 0;
            inner.row += inner.row > 0 ? half : 0;
            inner.width = inner_right - inner.column;
            inner.height = inner_bottom - inner.row;
            plan.parts.push_back({*block.split, block.index, inner});
        }
        return plan;
    }
    if (split.method == "files") {
        for (const auto& [expression, name] : split.files) {
            if (!std::regex_search(id, std::regex(expression))) continue;
            const Split found = split_from_name(name, "split.files");
            if (!plan.parts.empty() && plan.parts[0].split != found) {
                refuse_overlap(fmt::format("scene '{}' matches rules of split.files for {} and {}.", id,
                                           name_of(plan.parts[0].split), name));
            }
            if (plan.parts.empty()) plan.parts.push_back({found, 0, grid.whole()});
        }
        if (plan.parts.empty()) {
            throw Error(ExitCode::data_invalid, 305,
                        fmt::format("scene '{}' matches no rule of split.files.", id),
                        "Add a rule, e.g. \".*\" = \"train\".");
        }
        return plan;
    }
    if (!grid.north_up()) {
        throw Error(ExitCode::data_invalid, 209,
                    fmt::format("scene '{}' is turned, so regions and polygons can't be applied to it.", id),
                    "Set grid.crs and grid.resolution.");
    }
    if (split.method == "regions") {
        for (std::size_t i = 0; i < split.regions.size(); ++i) {
            const config::SplitRegion& region = split.regions[i];
            const raster::Bounds bounds{region.bounds[0], region.bounds[1], region.bounds[2],
                                        region.bounds[3]};
            const Split name = split_from_name(region.split, "[[split.region]]");
            plan.areas[name].add(bounds);
            plan.parts.push_back({name, static_cast<std::int64_t>(i), window_inside(grid, bounds)});
        }
    } else {
        const std::filesystem::path file = raster::resolve(config, split.polygons);
        for (auto& [name, area] : raster::read_areas(file, "split", grid.crs)) {
            const Split found = split_from_name(name, file.string());
            for (const raster::Bounds& bounds : area.parts()) {
                plan.parts.push_back(
                    {found, static_cast<std::int64_t>(plan.parts.size()), window_inside(grid, bounds)});
            }
            plan.areas[found] = std::move(area);
        }
    }
    const double pixel = std::abs(grid.transform[1] * grid.transform[5]);
    for (auto a = plan.areas.begin(); a != plan.areas.end(); ++a) {
        for (auto b = std::next(a); b != plan.areas.end(); ++b) {
            const double common = a->second.common_with(b->second);
            if (common > 0.01 * pixel) {
                refuse_overlap(fmt::format("the areas of {} and {} overlap by {:.6g} square units of {}.",
                                           name_of(a->first), name_of(b->first), common,
                                           raster::crs_name(grid.crs)));
            }
        }
    }
    return plan;
}

std::vector<SplitPart> tile_windows(const config::Config& config, const raster::Grid& grid,
                                    const ScenePlan& plan) {
    const std::int64_t tile = config.grid.tile;
    const std::int64_t align = tile_alignment(config);
    std::vector<SplitPart> result;
    for (const SplitPart& part : plan.parts) {
        // Overlap gives training more views of each place; scores need each place once, unless every window
        // is to be scored by itself, as a published protocol may.
        const bool by_itself = part.split != Split::train && config.grid.scoring == "windows";
        const bool overlapping = (part.split == Split::train || by_itself) && config.grid.stride > 0;
        const std::int64_t stride = overlapping ? config.grid.stride : tile;
        for (const std::int64_t row :
             starts(part.window.row, part.window.height, tile, stride, align, !by_itself)) {
            for (const std::int64_t column :
                 starts(part.window.column, part.window.width, tile, stride, align, !by_itself)) {
                const raster::Window window{column, row, tile, tile};
                if (!plan.areas.empty()) {
                    const raster::Bounds bounds = grid.bounds(window);
                    bool good = plan.areas.at(part.split).contains(bounds);
                    for (const auto& [other, area] : plan.areas) {
                        if (other != part.split && plan.buffer > 0)
                            good = good && area.distance(bounds) >= plan.buffer * (1 - 1e-9);
                    }
                    if (!good) continue;
                }
                result.push_back({part.split, part.block, window});
            }
        }
    }
    // Polygons whose envelopes overlap offer the same place twice.
    std::stable_sort(result.begin(), result.end(), [](const SplitPart& a, const SplitPart& b) {
        return std::pair(a.window.row, a.window.column) < std::pair(b.window.row, b.window.column);
    });
    result.erase(std::unique(result.begin(), result.end(),
                             [](const SplitPart& a, const SplitPart& b) { return a.window == b.window; }),
                 result.end());
    return result;
}

void check_no_shared_ground(const Manifest& manifest) {
    // In pixels of the first scene of each CRS pair: a tile of another grid becomes the rectangle it covers,
    // less a tenth, since the envelope of a turned rectangle is larger than it.
    const auto compare = [&](std::size_t a, std::size_t b) {
        const raster::Grid& grid = manifest.scenes[a].grid;
        const raster::Grid& other = manifest.scenes[b].grid;
        const bool same = raster::same_crs(grid.crs, other.crs);
        struct Placed {
            raster::Bounds bounds;
            const TileRecord* tile;
        };
        std::vector<Placed> placed;
        for (const TileRecord& tile : manifest.tiles) {
            if (tile.scene != a && tile.scene != b) continue;
            raster::Bounds bounds = manifest.scenes[tile.scene].grid.bounds(tile.window);
            double shrink = 1e-6;
            if (tile.scene == b && !same) {
                bounds = raster::transform_bounds(bounds, other.crs, grid.crs);
                shrink = 0.05;
            }
            const double x = shrink * (bounds.east - bounds.west), y = shrink * (bounds.north - bounds.south);
            placed.push_back({{bounds.west + x, bounds.south + y, bounds.east - x, bounds.north - y}, &tile});
        }
        std::stable_sort(placed.begin(), placed.end(),
                         [](const Placed& p, const Placed& q) { return p.bounds.west < q.bounds.west; });
        for (std::size_t i = 0; i < placed.size(); ++i) {
            for (std::size_t j = i + 1; j < placed.size() && placed[j].bounds.west < placed[i].bounds.east;
                 ++j) {
                const TileRecord& p = *placed[i].tile;
                const TileRecord& q = *placed[j].tile;
                if (p.split == q.split || !placed[i].bounds.overlaps(placed[j].bounds)) continue;
                refuse_overlap(fmt::format(
                    "a {} tile of scene '{}' at column {}, row {} shares ground with a {} tile of scene '{}' "
                    "at "
                    "column {}, row {}.",
                    name_of(p.split), manifest.scenes[p.scene].id, p.window.column, p.window.row,
                    name_of(q.split), manifest.scenes[q.scene].id, q.window.column, q.window.row));
            }
        }
    };
    const std::string degrees = raster::parse_crs("OGC:CRS84", "degrees");
    std::vector<raster::Bounds> envelopes;
    for (const SceneRecord& scene : manifest.scenes) {
        // Scenes in pixel coordinates are nowhere, so that they share ground with none but themselves.
        envelopes.push_back(raster::is_pixel_coordinates(scene.grid.crs)
                                ? raster::Bounds{}
                                : raster::transform_bounds(scene.grid.bounds(), scene.grid.crs, degrees));
    }
    for (std::size_t a = 0; a < manifest.scenes.size(); ++a) {
        compare(a, a);
        for (std::size_t b = a + 1; b < manifest.scenes.size(); ++b) {
            if (envelopes[a].overlaps(envelopes[b])) compare(a, b);
        }
    }
}

}  // namespace terrane::tiles
