#include <mpi.h>

#include <cstdlib>

#define CATCH_CONFIG_RUNNER
#include "support/catch.hpp"

// Every test executable can be started by mpirun: it initialises MPI only then, so that plain tests stay plain.
int main(int argc, char** argv) {
    const bool launched_by_mpi = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr;
    if (launched_by_mpi) {
        int provided = 0;
        MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    }
    const int failed = Catch::Session().run(argc, argv);
    if (launched_by_mpi) MPI_Finalize();
    return failed == 0 ? 0 : 1;
}
