# terrane_add_fuzz_test(NAME SOURCES file... LIBRARIES library...)
#
# A reader of foreign bytes under mutated inputs; the sources define what tests/support/fuzz_target.hpp declares. NAME_fuzz is
# ten seconds of our own driver in every build; with the preset `fuzz` there is also fuzz_NAME for libFuzzer
# (scripts/fuzz.sh).
function(terrane_add_fuzz_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
  set(drivers fuzz_driver_${name})
  add_executable(fuzz_driver_${name} ${PROJECT_SOURCE_DIR}/tests/support/fuzz_driver.cpp ${ARG_SOURCES})
  add_test(NAME ${name}_fuzz COMMAND fuzz_driver_${name} 10)
  set_tests_properties(${name}_fuzz PROPERTIES LABELS fuzz TIMEOUT 120)
  if(TERRANE_FUZZ)
    add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/support/fuzz_libfuzzer.cpp ${ARG_SOURCES})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    list(APPEND drivers fuzz_${name})
  endif()
  foreach(target IN LISTS drivers)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    target_link_libraries(${target} PRIVATE terrane_options ${ARG_LIBRARIES})
  endforeach()
endfunction()
