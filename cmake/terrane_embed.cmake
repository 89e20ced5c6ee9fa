# terrane_embed(OUTPUT FILES file...): writes a C++ file with the texts of files, by name, for app/embedded_files.hpp. The
# program carries what it writes for its users; the repository has it as files that can be read, checked and used as they are.
function(terrane_embed output)
  set(rows "")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(READ ${file} text)
    cmake_path(GET file FILENAME name)
    string(APPEND rows "    {\"${name}\", R\"~~~~(${text})~~~~\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [=[
#include "app/embedded_files.hpp"

namespace terrane::app {

const std::map<std::string_view, std::string_view>& embedded_files() {
    static const std::map<std::string_view, std::string_view> files = {
@rows@    };
    return files;
}

}  // namespace terrane::app
]=])
endfunction()
