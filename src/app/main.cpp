#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/launch_options.hpp"
#include "app/options.hpp"
#include "app/start.hpp"
#include "base/fault.hpp"
#include "base/hash.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "comm/launch.hpp"
#include "comm/rendezvous.hpp"
#include "comm/world.hpp"

namespace {

using namespace terrane;

// An exception that reaches the end of a thread: say which, then end this process; the launcher ends the
// others.
[[noreturn]] void on_terminate() {
    if (const std::exception_ptr exception = std::current_exception()) {
        const comm::Failure failure = comm::describe_failure(exception);
        log::write(log::Level::error, failure.text);
        std::_Exit(failure.exit_code);
    }
    log::write(log::Level::error, "error[E0001]: internal error: terminated without an exception.");
    std::_Exit(static_cast<int>(ExitCode::internal));
}

int write_answer(const std::string& answer) {
    const bool written = std::fputs(answer.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
    return static_cast<int>(written ? ExitCode::done : ExitCode::io_error);
}

// This process among those that the launcher started, as far as its variables say.
bool is_first_of_launch() {
    for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "RANK", "SLURM_PROCID"}) {
        if (const auto rank = comm::environment_variable(name)) return *rank == "0";
    }
    return true;
}

// Before the ranks know each other only the first one speaks about what all of them see alike; the others
// give it time to do so. What one rank's variables or its way to the others lack it has to say itself.
int fail_alone(const std::exception_ptr& exception) {
    const comm::Failure failure = comm::describe_failure(exception);
    const bool own = failure.number == 122 || failure.number == 123 || failure.number == 125;
    if (own || is_first_of_launch()) {
        log::write(log::Level::error, failure.text);
    } else {
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    return failure.exit_code;
}

int run(const std::vector<std::string>& arguments) {
    app::Command command;
    std::exception_ptr usage_error;
    try {
        command = app::parse_command_line(arguments);
    } catch (...) {
        usage_error = std::current_exception();
    }
    if (!command.answer.empty()) return write_answer(command.answer);

    std::optional<comm::World> world;
    app::LaunchOptions options;
    try {
        options = app::launch_options(command, comm::environment_variable);
        if (command.verb != nullptr && command.verb->ranks == app::Ranks::local)
            options.request = {.launcher = "none"};
        const comm::Launch launch = comm::detect_launch(comm::environment_variable, options.request);
        if (comm::transport_of(launch.launcher) != comm::Transport::self)
            options.settings.program = sha256_of_file("/proc/self/exe");
        world.emplace(launch, options.settings);
        fault::arm_from_environment(world->rank());
    } catch (const comm::Refused& refused) {
        return static_cast<int>(refused.exit_code());  // rank 0 says why
    } catch (...) {
        return fail_alone(usage_error ? usage_error : std::current_exception());
    }
    if (usage_error) return world->fail(usage_error);
    try {
        comm::check_local_rank(options.request, world->local_rank());
        return app::run_command(command, *world);
    } catch (...) {
        return world->fail(std::current_exception());
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::set_terminate(on_terminate);
    signals::wait_in_thread();
    return run(std::vector<std::string>(argv + 1, argv + argc));
}
