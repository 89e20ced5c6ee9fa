# Every third-party library, found once. Each is used by one module only (see that module's CMakeLists.txt).
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(OpenSSL REQUIRED)
find_package(GDAL 3.4 REQUIRED)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(dnnl REQUIRED)

find_package(Protobuf 3.21 REQUIRED)

find_package(PkgConfig REQUIRED)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)

# Its CMake file doesn't say where the headers are, and newer packages have other targets.
find_library(GLOO_LIBRARY gloo REQUIRED)
find_path(GLOO_INCLUDE_DIR gloo/context.h REQUIRED)
add_library(terrane_gloo INTERFACE)
target_include_directories(terrane_gloo SYSTEM INTERFACE ${GLOO_INCLUDE_DIR})
target_link_libraries(terrane_gloo INTERFACE ${GLOO_LIBRARY})

add_library(terrane_hdf5 INTERFACE)
target_include_directories(terrane_hdf5 SYSTEM INTERFACE ${HDF5_INCLUDE_DIRS})
target_link_libraries(terrane_hdf5 INTERFACE ${HDF5_LIBRARIES})

# Several ranks share the few cores of a test machine: let waiting ranks sleep, and do not pin them to one core.
set(TERRANE_MPIRUN_FLAGS --oversubscribe --bind-to none --mca mpi_yield_when_idle 1
    CACHE STRING "mpirun flags for tests")
