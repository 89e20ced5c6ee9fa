#include "predict/window_batch.hpp"

#include "base/error.hpp"

namespace terrane::predict {

namespace {

// Tiles start on cache lines.
std::size_t aligned(std::size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

std::size_t tile_pixels(const SourceModality& modality, std::int64_t window) {
    const std::int64_t edge = window / modality.scale;
    return static_cast<std::size_t>(edge * edge);
}

}  // namespace

std::size_t WindowBatch::bytes(const std::vector<SourceModality>& modalities, std::int64_t window,
                               std::int64_t capacity) {
    std::size_t one = aligned(static_cast<std::size_t>(window * window));
    for (const SourceModality& modality : modalities) {
        const std::size_t pixels = tile_pixels(modality, window);
        one += aligned(pixels * (modality.pixel_bytes() - 1)) + aligned(pixels);
    }
    return one * static_cast<std::size_t>(capacity) + 64;
}

WindowBatch::WindowBatch(const std::vector<SourceModality>& modalities, std::int64_t window,
                         std::int64_t capacity)
    : memory_(bytes(modalities, window, capacity)), windows_(static_cast<std::size_t>(capacity)) {
    std::byte* end = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64) % 64;
    const auto take = [&](std::size_t count) {
        const std::span<std::byte> part{end, count};
        end += aligned(count);
        return part;
    };
    const auto take_mask = [&](std::size_t count) {
        return std::span<std::uint8_t>{reinterpret_cast<std::uint8_t*>(take(count).data()), count};
    };
    for (InputWindow& slot : windows_) {
        slot.validity = take_mask(static_cast<std::size_t>(window * window));
        for (const SourceModality& modality : modalities) {
            const std::size_t pixels = tile_pixels(modality, window);
            const std::span<std::byte> values = take(pixels * (modality.pixel_bytes() - 1));
            slot.modalities.push_back({values, take_mask(pixels), 0});
        }
    }
    TERRANE_ASSERT(end <= memory_.data() + memory_.size(), "window slots overrun their memory");
}

}  // namespace terrane::predict
