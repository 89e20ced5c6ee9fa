#include "base/fault.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace terrane::fault {

namespace {

template <typename Value, std::size_t count>
using Names = std::array<std::pair<std::string_view, Value>, count>;

constexpr Names<Kind, 9> kinds{{{"kill", Kind::kill},
                                {"exit0", Kind::exit0},
                                {"sleep", Kind::sleep},
                                {"spin", Kind::spin},
                                {"nan_gradient", Kind::nan_gradient},
                                {"infinite_loss", Kind::infinite_loss},
                                {"flip_weight_bit", Kind::flip_weight_bit},
                                {"io_error", Kind::io_error},
                                {"short_write", Kind::short_write}}};
constexpr Names<Place, 7> places{{{"step", Place::step},
                                  {"collective", Place::collective},
                                  {"save", Place::save},
                                  {"file_operation", Place::file_operation},
                                  {"saved_byte", Place::saved_byte},
                                  {"tile", Place::tile},
                                  {"raster_read", Place::raster_read}}};
constexpr Names<FileOperation, 6> operations{{{"create", FileOperation::create},
                                              {"write", FileOperation::write},
                                              {"fsync", FileOperation::fsync},
                                              {"rename", FileOperation::rename},
                                              {"link", FileOperation::link},
                                              {"remove", FileOperation::remove}}};
constexpr Names<int, 4> errors{{{"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}}};

[[noreturn]] void refuse(std::string_view fault, std::string_view reason) {
    throw Error(ExitCode::usage, 111, fmt::format("TERRANE_FAULT: \"{}\" can't be read: {}.", fault, reason),
                "Write KIND@PLACE=NUMBER;name=value as docs/reliability.md shows, or unset the variable.");
}

template <typename Value, std::size_t count>
Value named(const Names<Value, count>& names, std::string_view name, std::string_view fault) {
    std::string all;
    for (const auto& [known, value] : names) {
        if (known == name) return value;
        if (!all.empty()) all += ", ";
        all += known;
    }
    refuse(fault, fmt::format("\"{}\" is none of {}", name, all));
}

template <typename Number>
Number number(std::string_view text, std::string_view fault) {
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size() || value < 0)
        refuse(fault, fmt::format("\"{}\" is no number from 0", text));
    return value;
}

// The text before the first separator; it and the separator are taken away from `text`.
std::string_view cut(std::string_view& text, char separator) {
    const std::size_t end = text.find(separator);
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}

bool fits(Kind kind, Place place) {
    switch (kind) {
        case Kind::kill:
        case Kind::exit0:
        case Kind::sleep:
        case Kind::spin:
            return true;
        case Kind::nan_gradient:
        case Kind::infinite_loss:
        case Kind::flip_weight_bit:
            return place == Place::step;
        case Kind::io_error:
        case Kind::short_write:
            return place == Place::save || place == Place::file_operation;
    }
    return false;
}

Fault parse_one(std::string_view text) {
    const std::string_view whole = text;
    Fault fault;
    fault.kind = named(kinds, cut(text, '@'), whole);
    std::string_view place = cut(text, ';');
    fault.place = named(places, cut(place, '='), whole);
    fault.number = number<std::int64_t>(place, whole);
    if (!fits(fault.kind, fault.place)) refuse(whole, "this kind can't happen at that place");
    if (fault.kind == Kind::io_error) fault.error = EIO;
    while (!text.empty()) {
        std::string_view value = cut(text, ';');
        const std::string_view name = cut(value, '=');
        if (name == "rank") {
            fault.rank = number<int>(value, whole);
        } else if (name == "times") {
            fault.times = number<std::int64_t>(value, whole);
        } else if (name == "seconds") {
            fault.seconds = number<double>(value, whole);
        } else if (name == "error") {
            fault.error = named(errors, value, whole);
        } else if (name == "operation") {
            fault.operation = named(operations, value, whole);
        } else {
            refuse(whole, fmt::format("\"{}\" is none of rank, times, seconds, error, operation", name));
        }
    }
    return fault;
}

struct State {
    std::mutex mutex;
    std::vector<Fault> faults;
    std::int64_t saves = 0;
    std::int64_t file_operations = 0;
    std::int64_t saved_bytes = 0;
    std::int64_t tiles = 0;
    std::int64_t raster_reads = 0;
};

State& state() {
    static State the_state;
    return the_state;
}

thread_local int saving = 0;  // depth of Saving on this thread

bool covers(const Fault& fault, Place place, std::int64_t number) {
    return fault.place == place && number >= fault.number && number - fault.number < fault.times;
}

void happen(const Fault& fault) {
    switch (fault.kind) {
        case Kind::kill:
            ::kill(::getpid(), SIGKILL);
            for (;;) ::pause();
        case Kind::exit0:
            std::_Exit(0);
        case Kind::sleep:
            std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
            break;
        case Kind::spin:
            for (volatile bool forever = true; forever;) {
            }
            break;
        case Kind::nan_gradient:
        case Kind::infinite_loss:
        case Kind::flip_weight_bit:
        case Kind::io_error:
        case Kind::short_write:
            break;  // the caller's part
    }
}

std::vector<Fault> due(Place place, std::int64_t number) {
    const std::lock_guard lock(state().mutex);
    std::vector<Fault> found;
    for (const Fault& fault : state().faults) {
        if (covers(fault, place, number)) found.push_back(fault);
    }
    return found;
}

}  // namespace

std::vector<Fault> parse(std::string_view text) {
    std::vector<Fault> faults;
    while (!text.empty()) faults.push_back(parse_one(cut(text, ',')));
    return faults;
}

void arm(std::string_view text, int rank) {
    std::vector<Fault> faults = parse(text);
    std::erase_if(faults, [rank](const Fault& fault) { return fault.rank >= 0 && fault.rank != rank; });
    State& all = state();
    const std::lock_guard lock(all.mutex);
    all.faults = std::move(faults);
    all.saves = all.file_operations = all.saved_bytes = all.tiles = all.raster_reads = 0;
    detail::armed.store(!all.faults.empty());
}

void arm_from_environment(int rank) {
    const char* text = std::getenv("TERRANE_FAULT");
    if (text == nullptr || *text == '\0') return;
    arm(text, rank);
    if (rank == 0) log::warning("TERRANE_FAULT is set, this run will be disturbed: {}", text);
}

void disarm() {
    arm("", 0);
}

Saving::Saving() {
    ++saving;
    if (!armed()) return;
    std::int64_t number = 0;
    {
        const std::lock_guard lock(state().mutex);
        number = ++state().saves;
    }
    reached(Place::save, number);
}

Saving::~Saving() {
    --saving;
}

namespace detail {

std::atomic<bool> armed{false};

void reached(Place place, std::int64_t number) {
    for (const Fault& fault : due(place, number)) happen(fault);
}

bool is_due(Kind kind, Place place, std::int64_t number) {
    for (const Fault& fault : due(place, number)) {
        if (fault.kind == kind) return true;
    }
    return false;
}

int file_operation(FileOperation operation) {
    if (saving == 0) return 0;
    std::int64_t number = 0, save = 0;
    {
        const std::lock_guard lock(state().mutex);
        number = ++state().file_operations;
        save = state().saves;
    }
    fault::reached(Place::file_operation, number);
    for (const auto& [place, count] :
         {std::pair{Place::file_operation, number}, std::pair{Place::save, save}}) {
        for (const Fault& fault : due(place, count)) {
            if (fault.kind == Kind::io_error && fault.operation.value_or(operation) == operation)
                return fault.error;
        }
    }
    return 0;
}

std::size_t write_limit(std::size_t bytes) {
    if (saving == 0 || bytes < 2) return bytes;
    const std::lock_guard lock(state().mutex);
    std::size_t limit = bytes;
    for (const Fault& fault : state().faults) {
        const bool is_short = fault.kind == Kind::short_write &&
                              (covers(fault, Place::save, state().saves) ||
                               covers(fault, Place::file_operation, state().file_operations));
        if (is_short) limit = std::min(limit, bytes / 2);
        // The write ends where a fault by bytes is due.
        const std::int64_t left = fault.number - state().saved_bytes;
        if (fault.place == Place::saved_byte && left > 0)
            limit = std::min(limit, static_cast<std::size_t>(left));
    }
    return limit;
}

void wrote(std::size_t bytes) {
    if (saving == 0) return;
    std::int64_t total = 0;
    {
        const std::lock_guard lock(state().mutex);
        total = state().saved_bytes += static_cast<std::int64_t>(bytes);
    }
    fault::reached(Place::saved_byte, total);
}

void reading_tile() {
    std::int64_t number = 0;
    {
        const std::lock_guard lock(state().mutex);
        number = ++state().tiles;
    }
    fault::reached(Place::tile, number);
}

void reading_raster() {
    std::int64_t number = 0;
    {
        const std::lock_guard lock(state().mutex);
        number = ++state().raster_reads;
    }
    fault::reached(Place::raster_read, number);
}

}  // namespace detail

}  // namespace terrane::fault
