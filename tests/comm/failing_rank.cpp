// A program for failures.cpp: fails as its first argument says, on the ranks that the second names.
#include <chrono>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"
#include "comm/world.hpp"

using namespace terrane;

int main(int, char** arguments) {
    const std::string how = arguments[1];
    comm::World world(comm::detect_launch(comm::environment_variable));
    log::Settings settings;
    settings.rank = world.rank();
    settings.ranks = world.size();
    log::configure(settings);
    const bool last = world.rank() == world.size() - 1;
    try {
        world.communicator().barrier();
        if (how == "last" && last) throw Error(ExitCode::data_invalid, 311, "the last rank failed.");
        if (how == "foreign" && last) throw std::runtime_error("unexpected");
        if (how == "same") throw Error(ExitCode::config_invalid, 502, "all ranks failed.");
        if (how == "different")
            throw Error(ExitCode::io_error, 901, fmt::format("rank {} failed.", world.rank()));
        if (how == "in_flight") {
            std::vector<float> bucket(1000000);
            if (!last) world.communicator().start_sum(bucket);
            throw Error(ExitCode::diverged, 560, "the loss is not finite.");
        }
        if (how == "exit" && last) std::_Exit(74);
        if (how == "silent") {
            world.set_collective_timeout(std::chrono::milliseconds(500));
            if (last) std::this_thread::sleep_for(std::chrono::seconds(100));
        }
        world.communicator().barrier();
    } catch (...) {
        return world.fail(std::current_exception());
    }
    return 0;
}
