#include "config/resolve.hpp"

#include <filesystem>

#include "base/file.hpp"
#include "config/node.hpp"
#include "config/reader.hpp"

namespace terrane::config {

namespace {

constexpr std::size_t largest_file = std::size_t{1} << 20;

}  // namespace

std::string Resolved::source_of(const std::string& key) const {
    const auto found = sources.find(key);
    return found == sources.end() ? "default" : found->second;
}

std::vector<ConfigText> read_config_files(const std::vector<std::string>& paths) {
    std::vector<ConfigText> files;
    for (const std::string& path : paths) {
        const auto absolute = std::filesystem::absolute(path).lexically_normal();
        files.push_back({path, absolute.parent_path().string(), read_text_file(path, largest_file)});
    }
    return files;
}

Resolved resolve(const std::vector<ConfigText>& files, const std::vector<Assignment>& named,
                 const std::vector<Assignment>& sets) {
    Resolved resolved;
    Reader reader(resolved.config, resolved.sources);
    for (const ConfigText& file : files) reader.read(parse_toml(file.content, file.name), file.folder);
    const std::string working_folder = std::filesystem::current_path().string();
    for (const Assignment& option : named)
        reader.assign(option.key, option.value, option.source, working_folder);
    for (const Assignment& set : sets) reader.assign(set.key, set.value, set.source, working_folder);
    if (!files.empty()) resolved.config.folder = files.front().folder;
    return resolved;
}

}  // namespace terrane::config
