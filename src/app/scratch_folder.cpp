#include "app/scratch_folder.hpp"

#include <stdlib.h>

#include <cstring>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::app {

namespace fs = std::filesystem;

ScratchFolder::ScratchFolder(const std::string& parent, comm::Communicator& communicator)
    : communicator_(communicator) {
    std::string name;
    if (communicator.rank() == 0) {
        name =
            (fs::path(parent.empty() ? fs::temp_directory_path() : fs::path(parent)) / "terrane-bench-XXXXXX")
                .string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw Error(ExitCode::cannot_create, 901,
                        fmt::format("can't create {}: {}.", name, std::strerror(errno)),
                        "Name a folder that all ranks can write to with -o.");
        }
    }
    communicator.broadcast(name, 0);
    path_ = name;
}

ScratchFolder::~ScratchFolder() {
    if (communicator_.rank() != 0) return;
    std::error_code failure;
    fs::remove_all(path_, failure);
    if (failure) log::warning("{} could not be removed: {}.", path_.string(), failure.message());
}

}  // namespace terrane::app
