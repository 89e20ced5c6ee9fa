# terrane_finish_tests(): what holds for all tests of this directory, however they were added. Without the label gpu they see no
# GPU, whatever the machine has: --device auto, the default, would take it. Under sanitizers they get those sanitizers' options
# and more time. May be called several times.
function(terrane_finish_tests)
  get_property(asked DIRECTORY PROPERTY terrane_tests_finished SET)
  if(NOT asked)
    set_property(DIRECTORY PROPERTY terrane_tests_finished ON)
    cmake_language(DEFER CALL terrane_finish_tests_now)
  endif()
endfunction()

function(terrane_finish_tests_now)
  get_property(tests DIRECTORY PROPERTY TESTS)
  foreach(test IN LISTS tests)
    get_property(labels TEST ${test} PROPERTY LABELS)
    if(NOT "gpu" IN_LIST labels)
      set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT "CUDA_VISIBLE_DEVICES=")
    endif()
    if(TERRANE_SANITIZE)
      terrane_test_under_sanitizers(${test})
    endif()
  endforeach()
endfunction()

# terrane_add_test(NAME SOURCES file... DEPENDS module... [LABELS label...] [RANKS n...] [LAUNCHERS mpirun|env ...]
#                  [TIMEOUT seconds] [ARGUMENTS ...])
#
# One Catch2 executable and one ctest entry; with RANKS one entry per world size, started by mpirun
# (NAME_ranks_2 ...) and, with LAUNCHERS mpirun env, also over TCP without MPI (NAME_env_ranks_2 ...). An executable that finds its data, PyTorch or device missing exits with 77 after printing
# the reason (tests/support/skip.hpp): ctest shows it as skipped, never as passed.
function(terrane_add_test name)
  terrane_finish_tests()
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LABELS;RANKS;LAUNCHERS;LIBRARIES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(test_${name} ${ARG_SOURCES})
  list(TRANSFORM ARG_DEPENDS PREPEND terrane_)
  target_link_libraries(test_${name} PRIVATE terrane_options terrane_test_support ${ARG_DEPENDS} ${ARG_LIBRARIES})
  if(ARG_RANKS)
    foreach(ranks IN LISTS ARG_RANKS)
      add_test(NAME ${name}_ranks_${ranks}
               COMMAND ${MPIEXEC_EXECUTABLE} ${TERRANE_MPIRUN_FLAGS} -n ${ranks} $<TARGET_FILE:test_${name}>)
      set_tests_properties(${name}_ranks_${ranks} PROPERTIES
        TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "${ARG_LABELS};mpi" PROCESSORS 2
        ENVIRONMENT "OMP_NUM_THREADS=1;OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1")
      if("env" IN_LIST ARG_LAUNCHERS)
        add_test(NAME ${name}_env_ranks_${ranks}
                 COMMAND python3 ${PROJECT_SOURCE_DIR}/tests/support/run_ranks.py -n ${ranks} -- $<TARGET_FILE:test_${name}>)
        set_tests_properties(${name}_env_ranks_${ranks} PROPERTIES
          TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "${ARG_LABELS}" PROCESSORS 2
          ENVIRONMENT "OMP_NUM_THREADS=1")
      endif()
    endforeach()
  else()
    add_test(NAME ${name} COMMAND test_${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77 LABELS "${ARG_LABELS}"
      ENVIRONMENT "OMP_NUM_THREADS=2")
  endif()
endfunction()
