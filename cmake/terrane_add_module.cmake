# terrane_add_module(NAME SOURCES ... DEPENDS module... LIBRARIES target...)
#
# Makes the static library terrane_NAME from files of the current folder and enforces the module order of
# docs/architecture.md: a file may include "other/..." only if `other` is in DEPENDS, directly or transitively.
# A forbidden include stops the configure step and names the file and line.
set_property(GLOBAL PROPERTY TERRANE_MODULES "")

function(terrane_add_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})

  set(allowed ${name})
  foreach(dependency IN LISTS ARG_DEPENDS)
    get_property(transitive GLOBAL PROPERTY TERRANE_ALLOWED_${dependency})
    if(NOT transitive)
      message(FATAL_ERROR "module ${name} depends on ${dependency}, which is not declared before it: the order of modules would have a cycle")
    endif()
    list(APPEND allowed ${transitive})
  endforeach()
  list(REMOVE_DUPLICATES allowed)
  set_property(GLOBAL PROPERTY TERRANE_ALLOWED_${name} "${allowed}")
  set_property(GLOBAL APPEND PROPERTY TERRANE_MODULES ${name})

  file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.hpp ${CMAKE_CURRENT_SOURCE_DIR}/*.cuh)
  foreach(file IN LISTS ARG_SOURCES headers)
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} includes REGEX "^#include \"[a-z_]+/")
    foreach(line IN LISTS includes)
      string(REGEX REPLACE "^#include \"([a-z_]+)/.*" "\\1" used "${line}")
      if(NOT used IN_LIST allowed)
        message(FATAL_ERROR "${file}: ${line}\nmodule '${name}' may not use module '${used}'. Allowed: ${allowed}")
      endif()
    endforeach()
  endforeach()

  add_library(terrane_${name} STATIC ${ARG_SOURCES} ${headers})
  set_target_properties(terrane_${name} PROPERTIES LINKER_LANGUAGE CXX POSITION_INDEPENDENT_CODE ON)
  target_include_directories(terrane_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/kernels)
  target_link_libraries(terrane_${name} PRIVATE terrane_options)
  list(TRANSFORM ARG_DEPENDS PREPEND terrane_)
  target_link_libraries(terrane_${name} PUBLIC ${ARG_DEPENDS} ${ARG_LIBRARIES})
endfunction()
