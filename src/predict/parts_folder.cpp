#include "predict/parts_folder.hpp"

#include "base/error.hpp"
#include "base/leftovers.hpp"
#include "base/log.hpp"

namespace terrane::predict {

PartsFolder::PartsFolder(const std::filesystem::path& map, const std::string& owner) : path_(map) {
    path_ += ".parts-" + owner;
    remove_leftovers(map.parent_path(), map.filename().string() + ".parts-");
    std::error_code failure;
    std::filesystem::create_directory(path_, failure);
    if (!std::filesystem::is_directory(path_)) {
        throw Error(ExitCode::cannot_create, 910,
                    fmt::format("{} can't be created: {}.", path_.string(), failure.message()),
                    "Check the permissions of the folder and the free space.");
    }
}

PartsFolder::~PartsFolder() {
    // After a failure another rank may still add a file while this one clears the folder.
    std::error_code failure;
    for (int attempt = 0; attempt < 3; ++attempt) {
        std::filesystem::remove_all(path_, failure);
        if (!failure) return;
    }
    log::warning("{} could not be removed: {}.", path_.string(), failure.message());
}

std::filesystem::path PartsFolder::whole(const std::string& product) const {
    return path_ / (product + ".tif");
}

std::filesystem::path PartsFolder::part(const std::string& product, std::size_t index) const {
    return path_ / fmt::format("{}-{:05}.tif", product, index);
}

}  // namespace terrane::predict
