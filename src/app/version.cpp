#include "app/verb.hpp"

namespace terrane::app {

std::string_view version() {
    return TERRANE_VERSION;
}

}  // namespace terrane::app
