#include "comm/failure.hpp"

#include <fmt/format.h>

#include <new>
#include <system_error>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::comm {

namespace {

Failure describe_internal(const char* what) {
    return {
        static_cast<int>(ExitCode::internal), 1,
        fmt::format("error[E0001]: internal error: {}. This is a bug in terrane: please report it with the "
                    "command and the configuration.",
                    what)};
}

}  // namespace

Failure describe_failure(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const Error& error) {
        return {static_cast<int>(error.exit_code()), error.number(), error.what()};
    } catch (const std::bad_alloc&) {
        return {static_cast<int>(ExitCode::internal), 2,
                "error[E0002]: out of memory. Lower train.batch, predict.batch or --ram, or use fewer ranks "
                "per node."};
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::resource_unavailable_try_again &&
            error.code() != std::errc::not_enough_memory)
            return describe_internal(error.what());
        return {
            static_cast<int>(ExitCode::internal), 2,
            "error[E0002]: the system refuses a further thread or its memory. Raise the limits of processes "
            "and addresses (ulimit -u, -v) or use fewer ranks per node."};
    } catch (const std::exception& error) {
        return describe_internal(error.what());
    } catch (...) {
        return {static_cast<int>(ExitCode::internal), 1, "error[E0001]: internal error of an unknown kind."};
    }
}

void print_failure(const std::string& text) {
    const log::Settings before = log::settings();
    log::Settings alone = before;
    alone.ranks = 1;
    log::configure(alone);
    log::write(log::Level::error, text);
    log::configure(before);
}

}  // namespace terrane::comm
