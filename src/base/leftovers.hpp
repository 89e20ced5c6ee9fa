#pragma once

#include <filesystem>
#include <string>
#include <string_view>

/// Temporary files carry the name of the process that writes them, so that a later one can tell what a killed
/// process left behind from what a running one still needs.
namespace terrane {

/// "4711-node7": this process and its host, for names of temporaries.
std::string process_tag();

/// Whether `text` begins with the tag of a process of this host that has ended.
bool is_of_dead_process(std::string_view text);

/// Removes what dead processes of this host left in `folder`: entries called `prefix`, a process_tag and
/// either nothing more or a dot and anything. Entries of other hosts and of running processes stay. Never
/// throws; what can't be removed is reported as a warning.
void remove_leftovers(const std::filesystem::path& folder, const std::string& prefix);

}  // namespace terrane
