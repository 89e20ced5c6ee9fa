// The time limit of a collective where every look at a message takes long: ranks that outnumber the cores of
// a busy machine. Started with 2 ranks by mpirun; MPI's profiling interface makes the looks slow.
#include <mpi.h>

#include <chrono>
#include <thread>

#include "base/error.hpp"
#include "comm/world.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

bool slow = false;

}  // namespace

int MPI_Testall(int count, MPI_Request requests[], int* flag, MPI_Status statuses[]) {
    if (slow) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return PMPI_Testall(count, requests, flag, statuses);
}

TEST_CASE("a collective ends within its time limit however long each look takes", "[comm]") {
    comm::World world(comm::detect_launch(comm::environment_variable));
    REQUIRE(world.size() == 2);
    if (world.rank() == 0) {
        world.set_collective_timeout(std::chrono::milliseconds(500));
        slow = true;
        const auto begin = std::chrono::steady_clock::now();
        CHECK_THROWS_AS(world.communicator().barrier(), Error);
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
        slow = false;
        CHECK(passed.count() < 10);
    } else {
        std::this_thread::sleep_for(std::chrono::seconds(2));
        world.communicator().barrier();  // completes what rank 0 began
    }
}
