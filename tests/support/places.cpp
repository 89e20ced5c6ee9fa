#include "support/places.hpp"

// The only file that is compiled with absolute paths, so that ccache finds the others' objects from any checkout.
namespace terrane::test {

std::filesystem::path source_folder() {
    return TERRANE_SOURCE_DIR;
}

std::filesystem::path shared_data() {
    return source_folder().parent_path() / "shared" / "data";
}

}  // namespace terrane::test
