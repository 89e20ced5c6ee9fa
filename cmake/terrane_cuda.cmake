# Sets TERRANE_HAS_CUDA. Without nvcc the cuda module builds no_cuda.cpp, which says so when it is asked for a
# device; nothing else in the program knows the difference.
set(TERRANE_HAS_CUDA OFF)
if(NOT TERRANE_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      # A100, H100, B200; the last also as PTX, which the driver compiles for what comes after.
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 100)
    endif()
    enable_language(CUDA)
    # CMake 3.25 does not know that nvcc 12 and newer have C++20.
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
    # A library that exports /usr/include would have it searched before the C++ headers that wrap it.
    list(APPEND CMAKE_CUDA_IMPLICIT_INCLUDE_DIRECTORIES ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_EXTENSIONS OFF)
    find_package(CUDAToolkit REQUIRED)
    set(TERRANE_HAS_CUDA ON)
  elseif(TERRANE_CUDA STREQUAL "ON")
    message(FATAL_ERROR "TERRANE_CUDA=ON, but there is no nvcc. Put it on PATH, set CUDACXX, or use TERRANE_CUDA=OFF.")
  endif()
endif()
