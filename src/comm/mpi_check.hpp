#pragma once

#include <mpi.h>

namespace terrane::comm {

/// Throws Error E0801 (82) with the expression, the rank, the host and MPI's own text.
[[noreturn]] void mpi_failed(const char* expression, int code);

}  // namespace terrane::comm

/// Checks one MPI call; needs the error handler MPI_ERRORS_RETURN, which World sets.
#define TERRANE_MPI_CHECK(call)                                                                \
    do {                                                                                       \
        if (const int terrane_mpi_code = (call); terrane_mpi_code != MPI_SUCCESS) [[unlikely]] \
            ::terrane::comm::mpi_failed(#call, terrane_mpi_code);                              \
    } while (false)
