# Builds with sanitizers (the presets asan, ubsan, tsan): how everything is compiled, and how the tests are run.
if(TERRANE_SANITIZE)
  target_compile_options(terrane_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${TERRANE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all>)
  # What g++ adds for the sanitizers hides from it that a variant's members are set before they are read.
  target_compile_options(terrane_options INTERFACE
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  target_link_options(terrane_options INTERFACE -fsanitize=${TERRANE_SANITIZE})
  # clang links its runtime with operator new into the program; where a test has its own (support/counted_new.hpp), that counts.
  target_link_options(terrane_options INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wl,-z,muldefs>)
endif()

# terrane_test_under_sanitizers(TEST): the sanitizers' options for a test, which options in the user's environment overrule,
# and ten times its time. The test finds the sanitizers' names in TERRANE_SANITIZE.
function(terrane_test_under_sanitizers test)
  set(suppressions ${PROJECT_SOURCE_DIR}/tests/sanitizers)
  # Open MPI keeps some memory to its end, and unloads its plugins before: what is reported has no name that could be suppressed.
  get_property(labels TEST ${test} PROPERTY LABELS)
  set(leaks 1)
  if("mpi" IN_LIST labels)
    set(leaks 0)
  endif()
  set(options
    # Link order: the tests of clock jumps preload a library.
    "ASAN_OPTIONS=path_list_prepend:detect_leaks=${leaks}:detect_stack_use_after_return=1:strict_string_checks=1:verify_asan_link_order=0"
    "LSAN_OPTIONS=path_list_prepend:suppressions=${suppressions}/leak.supp:print_suppressions=0"
    "UBSAN_OPTIONS=path_list_prepend:print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=path_list_prepend:suppressions=${suppressions}/thread.supp:ignore_noninstrumented_modules=1:halt_on_error=1:second_deadlock_stack=1"
    "TERRANE_SANITIZE=set:${TERRANE_SANITIZE}")
  set_property(TEST ${test} APPEND PROPERTY ENVIRONMENT_MODIFICATION ${options})
  get_property(timeout TEST ${test} PROPERTY TIMEOUT)
  if(timeout)
    math(EXPR timeout "10 * ${timeout}")
    set_property(TEST ${test} PROPERTY TIMEOUT ${timeout})
  endif()
endfunction()
