#include "tiles/label_coding.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "raster/aligned_scene.hpp"
#include "raster/describe.hpp"
#include "raster/placement.hpp"
#include "tensor/visit_dtype.hpp"
#include "tiles/manifest.hpp"

namespace terrane::tiles {

namespace {

std::int64_t packed(const std::array<int, 3>& color) {
    return (color[0] << 16) | (color[1] << 8) | color[2];
}

std::string grouped(std::int64_t number) {
    std::string text = std::to_string(number);
    for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
        text.insert(static_cast<std::size_t>(at), " ");
    return text;
}

template <typename T>
std::int64_t element(std::span<const std::byte> values, std::size_t at) {
    const T value = reinterpret_cast<const T*>(values.data())[at];
    if constexpr (std::is_floating_point_v<T>) {
        // Not a whole number: no class can match it, and no packed colour or index is this low.
        if (value != std::floor(value) || std::abs(value) > T(1e9)) return INT64_MIN;
    }
    return static_cast<std::int64_t>(value);
}

}  // namespace

LabelCoding::LabelCoding(const config::Config& config)
    : config_(config), palette_(config.label.encoding == "palette") {
    std::unordered_map<std::int64_t, int> by_id;
    for (std::size_t c = 0; c < config.classes.size(); ++c) {
        by_id[config.classes[c].id] = static_cast<int>(c);
        codes_[palette_ ? packed(config.classes[c].color) : config.classes[c].id] = static_cast<int>(c);
    }
    for (const std::int64_t value : config.label.ignore) codes_[value] = ignored_label;
    // Whatever a value is remapped to is the id of a class or, with index encoding, an ignored value.
    const auto before_remap = codes_;
    for (const auto& [from, to] : config.label.remap) {
        const auto ignored = before_remap.find(to);
        if (ignored != before_remap.end() && ignored->second == ignored_label) {
            codes_[from] = ignored_label;
        } else if (const auto found = by_id.find(to); found != by_id.end()) {
            codes_[from] = found->second;
        } else {
            throw Error(ExitCode::config_invalid, 303,
                        fmt::format("label.remap sends {} to {}, which is the id of no [[class]].", from, to),
                        "Use a class id, or a value of label.ignore.");
        }
    }
}

int LabelCoding::code(std::int64_t value) const {
    const auto found = codes_.find(value);
    return found != codes_.end() ? found->second : unknown;
}

template <typename Function>
void LabelCoding::for_each(const raster::AlignedReader& reader, std::span<const std::byte> values,
                           std::span<const std::uint8_t> mask, const Function& function) const {
    const auto bands = static_cast<std::size_t>(reader.bands());
    visit_dtype(reader.dtype(), [&]<typename T>(std::type_identity<T>) {
        for (std::size_t pixel = 0; pixel < mask.size(); ++pixel) {
            if (mask[pixel] == 0) continue;
            if (!palette_) {
                function(pixel, element<T>(values, pixel * bands));
            } else {
                std::int64_t color = 0;
                for (std::size_t b = 0; b < 3; ++b)
                    color = color << 8 | (element<T>(values, pixel * bands + b) & 0xff);
                function(pixel, color);
            }
        }
    });
}

void LabelCoding::encode(const raster::AlignedReader& reader, std::span<const std::byte> values,
                         std::span<const std::uint8_t> mask, std::span<std::uint8_t> label) const {
    std::fill(label.begin(), label.end(), ignored_label);
    std::int64_t last = INT64_MIN;  // labels come in runs
    int last_code = unknown;
    for_each(reader, values, mask, [&](std::size_t pixel, std::int64_t value) {
        if (value != last) {
            last = value;
            last_code = code(value);
        }
        label[pixel] = last_code == unknown ? ignored_label : static_cast<std::uint8_t>(last_code);
    });
}

void LabelCoding::check(const std::vector<std::filesystem::path>& files) const {
    constexpr std::size_t most_listed = 8;
    constexpr std::size_t most_kept = 4096;
    for (const auto& file : files) {
        const raster::RasterInfo info = raster::describe_placed({file}, config_.label.crs, "[label]").front();
        raster::AlignedReader reader(raster::label_source(config_.label, {file}), info.grid);
        if (palette_ && (reader.bands() < 3 || reader.dtype() != DType::u8)) {
            throw Error(
                ExitCode::data_invalid, 304,
                fmt::format("label.encoding is \"palette\", but {} has {} band(s) of {} and no colour table.",
                            file.string(), reader.bands(), name_of(reader.dtype())),
                "Use encoding = \"index\", or a label with red, green and blue bytes.");
        }
        if (config_.label.undefined == "ignore") continue;
        std::map<std::int64_t, std::int64_t> offending;
        std::int64_t total = 0;
        std::vector<std::byte> values;
        std::vector<std::uint8_t> mask;
        const std::int64_t rows =
            std::max<std::int64_t>(1, std::min<std::int64_t>(512, (std::int64_t{1} << 25) / info.grid.width));
        for (std::int64_t row = 0; row < info.grid.height; row += rows) {
            const raster::Window window{0, row, info.grid.width, std::min(rows, info.grid.height - row)};
            mask.resize(static_cast<std::size_t>(window.pixels()));
            values.resize(mask.size() * static_cast<std::size_t>(reader.bands()) * size_of(reader.dtype()));
            reader.read(window, values, mask);
            std::int64_t last = INT64_MIN + 1;
            bool last_unknown = false;
            for_each(reader, values, mask, [&](std::size_t, std::int64_t value) {
                if (value != last) {
                    last = value;
                    last_unknown = code(value) == unknown;
                }
                if (!last_unknown) return;
                ++total;
                if (offending.size() < most_kept || offending.contains(value)) ++offending[value];
            });
        }
        if (offending.empty()) continue;
        std::vector<std::pair<std::int64_t, std::int64_t>> sorted(offending.begin(), offending.end());
        std::stable_sort(sorted.begin(), sorted.end(),
                         [](const auto& a, const auto& b) { return a.second > b.second; });
        const auto name = [&](std::int64_t value) {
            if (palette_) return fmt::format("({},{},{})", value >> 16, (value >> 8) & 255, value & 255);
            return value == INT64_MIN ? std::string("that is no whole number") : std::to_string(value);
        };
        std::string message;
        const char* kind = palette_ ? "label colour" : "label value";
        const std::string where = palette_ ? "the color of no [[class]]" : "in no [[class]]";
        const std::string ignored = fmt::format("label.ignore=[{}]", fmt::join(config_.label.ignore, ", "));
        if (sorted.size() == 1) {
            message = fmt::format("{} {} in {} ({} px) is {} and not in {}.", kind, name(sorted[0].first),
                                  file.string(), grouped(sorted[0].second), where, ignored);
        } else {
            std::vector<std::string> list;
            for (std::size_t i = 0; i < std::min(sorted.size(), most_listed); ++i) {
                list.push_back(fmt::format("{} ({} px)", name(sorted[i].first), grouped(sorted[i].second)));
            }
            const std::string more =
                sorted.size() > most_listed ? fmt::format(" and {} others", sorted.size() - most_listed) : "";
            message = fmt::format("{}s {}{} in {}, {} px together, are {} and not in {}.", kind,
                                  fmt::join(list, ", "), more, file.string(), grouped(total), where, ignored);
        }
        const std::string them = sorted.size() == 1 ? "it" : "them";
        throw Error(ExitCode::data_invalid, 311, message,
                    fmt::format("Add {0}, remap {0}, or set label.undefined=\"ignore\".", them));
    }
}

}  // namespace terrane::tiles
