#include "tensorboard/event_file.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstring>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "event_messages.pb.h"

namespace terrane::tensorboard {

namespace {

namespace fs = std::filesystem;

constexpr auto time_between_flushes = std::chrono::seconds(5);
constexpr std::size_t gathered_limit = std::size_t{1} << 20;
constexpr const char* file_version = "brain.Event:2";

static_assert(std::endian::native == std::endian::little, "records hold little-endian numbers");

template <typename T>
void append_number(std::string& bytes, T value) {
    std::array<char, sizeof(T)> raw{};
    std::memcpy(raw.data(), &value, sizeof(T));
    bytes.append(raw.data(), raw.size());
}

// The format stores checksums rotated and shifted, so that a checksum of data that holds checksums stays
// meaningful.
std::uint32_t masked_checksum(std::string_view bytes) {
    return std::rotr(crc32c(std::as_bytes(std::span(bytes))), 15) + 0xa282ead8U;
}

double seconds_since_1970() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
    return name.data();
}

fs::path unused_path(const fs::path& folder) {
    const std::string name =
        fmt::format("events.out.tfevents.{}.{}.{}", static_cast<std::int64_t>(seconds_since_1970()),
                    host_name(), ::getpid());
    fs::path path = folder / name;
    for (int number = 1; fs::exists(path); ++number) path = folder / fmt::format("{}.{}", name, number);
    return path;
}

event_messages::Event event_of(std::int64_t step) {
    event_messages::Event event;
    event.set_wall_time(seconds_since_1970());
    event.set_step(step);
    return event;
}

}  // namespace

EventFile::EventFile(const fs::path& folder) {
    std::error_code failure;
    fs::create_directories(folder, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create {}: {}.", folder.string(), failure.message()));
    }
    path_ = unused_path(folder);
    file_.emplace(path_);
    event_messages::Event event = event_of(0);
    event.set_file_version(file_version);
    append(event.SerializeAsString());
    flush();
}

EventFile::~EventFile() {
    try {
        flush();
    } catch (const Error&) {  // a destructor can't report it
    }
}

void EventFile::restart(std::int64_t step) {
    event_messages::Event event = event_of(step);
    event.mutable_session_log()->set_status(event_messages::SessionLog::START);
    append(event.SerializeAsString());
    flush();
}

void EventFile::scalars(std::int64_t step, std::span<const Scalar> scalars) {
    event_messages::Event event = event_of(step);
    for (const Scalar& scalar : scalars) {
        event_messages::Summary::Value& value = *event.mutable_summary()->add_value();
        value.set_tag(scalar.tag);
        value.set_simple_value(static_cast<float>(scalar.value));
    }
    append(event.SerializeAsString());
    flush_when_due();
}

void EventFile::image(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
                      std::int64_t channels, std::span<const std::byte> png) {
    event_messages::Event event = event_of(step);
    event_messages::Summary::Value& value = *event.mutable_summary()->add_value();
    value.set_tag(tag);
    event_messages::Summary::Image& image = *value.mutable_image();
    image.set_width(static_cast<std::int32_t>(width));
    image.set_height(static_cast<std::int32_t>(height));
    image.set_colorspace(static_cast<std::int32_t>(channels));
    image.set_encoded_image_string(png.data(), png.size());
    append(event.SerializeAsString());
    flush_when_due();
}

void EventFile::append(const std::string& message) {
    std::string length;
    append_number(length, std::uint64_t{message.size()});
    gathered_ += length;
    append_number(gathered_, masked_checksum(length));
    gathered_ += message;
    append_number(gathered_, masked_checksum(message));
}

void EventFile::flush_when_due() {
    if (gathered_.size() >= gathered_limit || Clock::now() - flushed_ >= time_between_flushes) flush();
}

void EventFile::flush() {
    const std::string records = std::exchange(gathered_, {});  // not again after a failure
    file_->write(std::as_bytes(std::span(records)));
    flushed_ = Clock::now();
}

}  // namespace terrane::tensorboard
