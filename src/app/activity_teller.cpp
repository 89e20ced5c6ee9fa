#include "app/activity_teller.hpp"

#include <fmt/format.h>

#include "base/activity.hpp"

namespace terrane::app {

ActivityTeller::ActivityTeller(comm::World& world, std::vector<const data::TileSource*> sources,
                               std::string device)
    : world_(world), sources_(std::move(sources)), device_(std::move(device)) {
    world_.set_activity([this] { return text(); });
}

ActivityTeller::~ActivityTeller() {
    world_.set_activity({});
}

std::string ActivityTeller::describe(const void* source, std::int64_t tile) const {
    for (const data::TileSource* known : sources_) {
        if (known == source) return known->describe(tile);
    }
    return fmt::format("tile {}", tile);
}

std::string ActivityTeller::text() const {
    const activity::State now = activity::state();
    if (now.work.empty()) return "on " + device_;
    std::string text = fmt::format("{} on {}", now.work, device_);
    if (!now.operation.empty()) text += ", " + now.operation;
    const bool waits = now.work == "waiting for tiles";
    if (waits && now.reading >= 0) text += ", reading " + describe(now.reading_source, now.reading);
    if (!waits && !now.tiles.empty()) {
        text += ", ";
        for (std::size_t i = 0; i < now.tiles.size(); ++i)
            text += (i > 0 ? "; " : "") + describe(now.tiles_source, now.tiles[i]);
        const auto more = now.tile_count - static_cast<std::int64_t>(now.tiles.size());
        if (more > 0) text += fmt::format(" and {} more", more);
    }
    return text;
}

}  // namespace terrane::app
