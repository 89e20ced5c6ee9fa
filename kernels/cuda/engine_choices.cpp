#include "cuda/engine_choices.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"

namespace terrane::cuda {

namespace {

constexpr std::size_t most_bytes = std::size_t{16} << 20;
constexpr std::size_t longest_text = 1024;

nlohmann::json json_of(const EngineSearch& search) {
    return {{"measured", search.measured},
            {"place", search.place},
            {"microseconds", search.microseconds},
            {"build_seconds", search.build_seconds},
            {"measure_seconds", search.measure_seconds}};
}
EngineSearch search_of(const nlohmann::json& json) {
    return {json.value("measured", 0), json.value("place", 0), json.value("microseconds", 0.0),
            json.value("build_seconds", 0.0), json.value("measure_seconds", 0.0)};
}

}  // namespace

EngineChoices::EngineChoices(std::filesystem::path file) : file_(std::move(file)) {
    std::error_code ignored;
    if (file_.empty() || !std::filesystem::exists(file_, ignored)) return;
    try {
        const auto content = nlohmann::json::parse(read_text_file(file_, most_bytes));
        if (content.at("format") != 1) return;
        for (const auto& [key, engine] : content.at("choices").items()) {
            if (!engine.is_string() || key.size() > longest_text) continue;
            const auto name = engine.get<std::string>();
            if (name.size() <= longest_text) choices_[key] = name;
        }
        const nlohmann::json searches = content.value("searches", nlohmann::json::object());
        for (const auto& [key, search] : searches.items()) {
            if (choices_.contains(key)) searches_[key] = search_of(search);
        }
    } catch (const std::exception& error) {
        choices_.clear();
        searches_.clear();
        log::warning("{} is not understood and will be written anew: {}", file_.string(), error.what());
    }
}

std::string EngineChoices::find(const std::string& key) const {
    const auto found = choices_.find(key);
    return found == choices_.end() ? std::string() : found->second;
}

void EngineChoices::keep(const std::string& key, const std::string& engine, const EngineSearch& search) {
    choices_[key] = engine;
    searches_[key] = search;
    if (file_.empty()) return;
    try {
        if (file_.has_parent_path()) std::filesystem::create_directories(file_.parent_path());
        nlohmann::json content{{"format", 1}, {"choices", choices_}, {"searches", nlohmann::json::object()}};
        for (const auto& [known, found] : searches_) content["searches"][known] = json_of(found);
        write_file_atomically(file_, content.dump(1) + "\n");
    } catch (const std::exception& error) {
        log::warning("engine choices are not kept: {}", error.what());
        file_.clear();
    }
}

std::filesystem::path EngineChoices::usual_file() {
    const auto text = [](const char* name) -> std::string {
        const char* value = std::getenv(name);
        return value == nullptr ? "" : value;
    };
    if (const std::string given = text("TERRANE_ENGINE_CHOICES"); !given.empty()) return given;
    if (const std::string cache = text("XDG_CACHE_HOME"); !cache.empty()) {
        return std::filesystem::path(cache) / "terrane" / "engines.json";
    }
    if (const std::string home = text("HOME"); !home.empty()) {
        return std::filesystem::path(home) / ".cache" / "terrane" / "engines.json";
    }
    return {};
}

std::string EngineKey::text() const {
    std::string sizes_text;
    for (const std::int64_t size : sizes) sizes_text += fmt::format(" {}", size);
    return fmt::format("{} | {} | {} {}{}", device, library, direction, dtype, sizes_text);
}

}  // namespace terrane::cuda
