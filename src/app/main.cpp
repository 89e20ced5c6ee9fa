#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "app/options.hpp"
#include "app/start.hpp"
#include "base/fault.hpp"
#include "base/log.hpp"
#include "base/signals.hpp"
#include "comm/launch.hpp"
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

// Before the ranks know each other only the first one speaks; the others give it time to do so.
int fail_before_mpi(const std::exception_ptr& exception) {
    const comm::Failure failure = comm::describe_failure(exception);
    const auto task = comm::environment_variable("SLURM_PROCID");
    if (!task || *task == "0") {
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
    try {
        const bool local = command.verb != nullptr && command.verb->ranks == app::Ranks::local;
        const comm::Launch launch = local ? comm::Launch{} : comm::detect_launch(comm::environment_variable);
        world.emplace(launch);
        comm::check_promise(launch, world->size());
        fault::arm_from_environment(world->rank());
    } catch (...) {
        return fail_before_mpi(std::current_exception());
    }
    if (usage_error) return world->fail(usage_error);
    try {
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
