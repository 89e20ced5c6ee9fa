// A program for failures.cpp and the like: failing_rank HOW [collective timeout] [heartbeat timeout] [name].
// It fails as HOW says; "loop" does steps with collectives for as long as TERRANE_FAULT or a signal lets it,
// 600 of them or TERRANE_TEST_STEPS, and for at least TERRANE_TEST_SECONDS, each with a sum of 1000 numbers
// or TERRANE_TEST_BUCKET.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "comm/rendezvous.hpp"
#include "comm/world.hpp"

using namespace terrane;

namespace {

volatile std::sig_atomic_t ordered = 0;

// For who wants to know when exactly a rank began to fail: SIGRTMIN makes it spin, the next one leave with
// code 0.
void obey() {
    if (ordered == SIGRTMIN + 1) std::_Exit(0);
    while (ordered == SIGRTMIN) {
    }
}

std::size_t number_in(const char* name, std::size_t otherwise) {
    const auto text = comm::environment_variable(name);
    return text ? static_cast<std::size_t>(std::atoll(text->c_str())) : otherwise;
}

/// Says that the rank's own work has been unwound.
struct Unwound {
    ~Unwound() {
        if (std::uncaught_exceptions() > 0 && comm::environment_variable("TERRANE_TEST_ON_LOSS"))
            std::fputs("the work is unwound\n", stderr);
    }
};

void loop(comm::World& world) {
    for (const int number : {SIGRTMIN, SIGRTMIN + 1})
        std::signal(number, [](int signal) { ordered = signal; });
    std::vector<float> bucket(number_in("TERRANE_TEST_BUCKET", 1000), 1.0F);
    const auto mark = comm::environment_variable("TERRANE_TEST_STARTED");
    const auto steps = number_in("TERRANE_TEST_STEPS", 600);
    const auto seconds = static_cast<double>(number_in("TERRANE_TEST_SECONDS", 0));
    const auto begin = std::chrono::steady_clock::now();
    const auto since = [](auto time) {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - time).count();
    };
    double longest = 0;
    // Rank 0's clock decides for all.
    for (std::size_t step = 1, more = 1; more != 0; ++step) {
        const auto step_begin = std::chrono::steady_clock::now();
        world.set_step(static_cast<std::int64_t>(step));
        fault::reached(fault::Place::step, static_cast<std::int64_t>(step));
        obey();
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        const auto ticket = world.communicator().start_sum(bucket);
        const bool goes_on = world.rank() == 0 && (step < steps || since(begin) < seconds);
        std::vector<double> sum{goes_on ? 1.0 : 0.0};
        world.communicator().sum(std::span<double>(sum));
        more = sum[0] > 0 ? 1 : 0;
        world.communicator().wait(ticket);
        longest = std::max(longest, since(step_begin));
        if (step == 3 && world.rank() == 0 && mark) std::ofstream(*mark) << "started";
    }
    if (world.rank() == 0) log::info("longest step: {:.1f} s", longest);
}

}  // namespace

int main(int count, char** arguments) {
    const std::string how = arguments[1];
    signals::wait_in_thread();
    comm::WorldSettings settings;
    settings.program = comm::environment_variable("TERRANE_TEST_PROGRAM").value_or("");
    if (count > 2) settings.collective_timeout = std::chrono::duration<double>(std::atof(arguments[2]));
    if (count > 3) settings.heartbeat_timeout = std::chrono::duration<double>(std::atof(arguments[3]));
    settings.check_collectives = comm::environment_variable("TERRANE_TEST_CHECK").has_value();
    settings.on_loss = static_cast<comm::LossResponse>(number_in("TERRANE_TEST_ON_LOSS", 1));
    std::unique_ptr<comm::World> world;
    try {
        comm::LaunchRequest request;
        request.launcher = comm::environment_variable("TERRANE_TEST_LAUNCHER").value_or("auto");
        request.dist_url = comm::environment_variable("TERRANE_TEST_DIST_URL").value_or("");
        world =
            std::make_unique<comm::World>(comm::detect_launch(comm::environment_variable, request), settings);
        fault::arm_from_environment(world->rank());
    } catch (const comm::Refused& refused) {
        return static_cast<int>(refused.exit_code());
    } catch (...) {
        const comm::Failure failure = comm::describe_failure(std::current_exception());
        log::write(log::Level::error, failure.text);
        return failure.exit_code;
    }
    log::Settings log_settings;
    log_settings.rank = world->rank();
    log_settings.ranks = world->size();
    log::configure(log_settings);
    const bool last = world->rank() == world->size() - 1;
    try {
        const Unwound unwound;
        world->communicator().barrier();
        if (how == "loop") loop(*world);
        if (how == "last" && last) throw Error(ExitCode::data_invalid, 311, "the last rank failed.");
        if (how == "first" && world->rank() == 0)
            throw Error(ExitCode::data_invalid, 311, "the first rank failed.");
        if (how == "foreign" && last) throw std::runtime_error("unexpected");
        if (how == "same") throw Error(ExitCode::config_invalid, 502, "all ranks failed.");
        if (how == "different")
            throw Error(ExitCode::io_error, 901, fmt::format("rank {} failed.", world->rank()));
        if (how == "in_flight") {
            std::vector<float> bucket(1000000);
            if (!last) world->communicator().start_sum(bucket);
            throw Error(ExitCode::diverged, 560, "the loss is not finite.");
        }
        if (how == "exit" && last) std::_Exit(74);
        if (how == "exit0" && last) std::_Exit(0);
        if (how == "stop" && last) ::raise(SIGSTOP);
        if (how == "stop_first" && world->rank() == 0) ::raise(SIGSTOP);
        if (how == "asleep" && last) std::this_thread::sleep_for(std::chrono::seconds(100));
        if (how == "late" && last) std::this_thread::sleep_for(std::chrono::seconds(3));
        if (how == "differ") {
            std::vector<double> sum{1};
            if (!last) world->communicator().sum(std::span<double>(sum));
        }
        if (how == "local") {
            world->require_equal("local rank", std::to_string(world->local_rank() == world->rank()));
        }
        world->communicator().barrier();
    } catch (...) {
        return world->fail(std::current_exception());
    }
    if (world->rank() == 0) log::info("done with {} ranks at {}", world->size(), world->master());
    return 0;
}
