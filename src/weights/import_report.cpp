/// What an import tells its user.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "weights/import_plan.hpp"
#include "weights/printable.hpp"

namespace terrane::weights {

namespace {

constexpr std::size_t most_names = 12;

/// The names, or if they are many, how many begin alike.
std::string list_of(const std::vector<std::string>& names) {
    std::map<std::string, std::size_t> groups;
    for (const std::string& name : names) {
        ++groups[names.size() <= most_names ? name : name.substr(0, name.find('.')) + ".*"];
    }
    std::string list;
    std::size_t listed = 0;
    for (const auto& [name, count] : groups) {
        if (listed == most_names) return list + fmt::format(" and {} more", groups.size() - listed);
        list += (listed++ == 0 ? "" : ", ") + printable(name);
        if (count > 1) list += fmt::format(" ({})", count);
    }
    return list;
}

const char* word_of(Fit fit) {
    switch (fit) {
        case Fit::same:
            return "loaded";
        case Fit::joined:
            return "joined";
        case Fit::resized:
            return "resized";
        case Fit::extended:
            return "extended";
    }
    return "";
}

}  // namespace

std::vector<std::string> ImportPlan::lines() const {
    std::int64_t numbers = 0;
    for (const ImportItem& item : items) numbers += targets[item.target].shape.elements();
    std::vector<std::string> lines{
        fmt::format("weights  {}: {} of the network's {} tensors loaded, {} numbers; names: {}", file,
                    items.size(), targets.size(), numbers, family)};
    for (const std::string& note : notes) lines.push_back("note        " + note);
    for (const ImportItem& item : items) {
        if (item.fit == Fit::resized || item.fit == Fit::extended) {
            lines.push_back(
                fmt::format("{:<11} {}: {}", word_of(item.fit), targets[item.target].name, item.detail));
        }
    }
    std::vector<std::string> joined, scaled;
    for (const ImportItem& item : items) {
        if (item.fit == Fit::joined) joined.push_back(targets[item.target].name);
        if (item.scale) scaled.push_back(targets[item.target].name);
    }
    if (!joined.empty()) {
        lines.push_back(
            fmt::format("joined      {}, from queries, keys and values: {}", joined.size(), list_of(joined)));
    }
    if (!scaled.empty()) {
        lines.push_back(
            fmt::format("scaled      {}, by the file's layer scales: {}", scaled.size(), list_of(scaled)));
    }
    for (const Skipped& skip : skipped) {
        lines.push_back(fmt::format("skipped     {}: {}", skip.target, skip.reason));
    }
    if (!missing.empty())
        lines.push_back(fmt::format("missing     {}: {}", missing.size(), list_of(missing)));
    if (!unexpected.empty()) {
        lines.push_back(fmt::format("unexpected  {}: {}", unexpected.size(), list_of(unexpected)));
    }
    return lines;
}

std::string ImportPlan::to_json() const {
    using Json = nlohmann::ordered_json;
    Json json;
    json["file"] = file;
    json["names"] = family;
    for (const char* key : {"loaded", "joined", "scaled", "resized", "extended", "skipped"})
        json[key] = Json::array();
    for (const ImportItem& item : items) {
        const std::string& name = targets[item.target].name;
        json["loaded"].push_back(name);
        if (item.fit == Fit::joined) json["joined"].push_back(name);
        if (item.scale) json["scaled"].push_back(name);
        if (item.fit == Fit::resized || item.fit == Fit::extended) {
            json[word_of(item.fit)].push_back({{"tensor", name}, {"how", item.detail}});
        }
    }
    for (const Skipped& skip : skipped) {
        json["skipped"].push_back({{"tensor", skip.target}, {"source", skip.source}, {"why", skip.reason}});
    }
    json["missing"] = missing;
    json["unexpected"] = unexpected;
    json["notes"] = notes;
    // Foreign names may be no UTF-8.
    return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace terrane::weights
