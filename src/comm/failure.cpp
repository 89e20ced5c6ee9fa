#include "comm/failure.hpp"

#include <fmt/format.h>

#include <new>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::comm {

Failure describe_failure(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const Error& error) {
        return {static_cast<int>(error.exit_code()), error.number(), error.what()};
    } catch (const std::bad_alloc&) {
        return {static_cast<int>(ExitCode::internal), 2,
                "error[E0002]: out of memory. Lower train.batch, predict.batch or --ram, or use fewer ranks "
                "per node."};
    } catch (const std::exception& error) {
        return {static_cast<int>(ExitCode::internal), 1,
                fmt::format(
                    "error[E0001]: internal error: {}. This is a bug in terrane: please report it with the "
                    "command and the configuration.",
                    error.what())};
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
