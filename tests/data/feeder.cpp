#include "data/feeder.hpp"

#include <cstring>
#include <semaphore>
#include <thread>

#include "base/activity.hpp"
#include "base/error.hpp"
#include "ref/backend.hpp"
#include "support/catch.hpp"
#include "support/counted_new.hpp"
#include "support/synthetic_source.hpp"

using namespace terrane;

namespace {

std::atomic<std::int64_t> allocations{0};

struct Fixture {
    test::SyntheticSource source{10, 32, 3};
    std::unique_ptr<device::Backend> backend = ref::make_ref_backend();
    std::int64_t batch = 3;
    std::vector<float> optical = std::vector<float>(3 * 32 * 32 * 3, -7);
    std::vector<float> height = std::vector<float>(3 * 16 * 16, -7);
    std::vector<float> presence = std::vector<float>(6, -7);
    std::vector<std::uint8_t> labels = std::vector<std::uint8_t>(3 * 32 * 32, 7);
    data::InputSlots slots{{{reinterpret_cast<std::byte*>(optical.data()), {DType::f32, {3, 32, 32, 3}}},
                            {reinterpret_cast<std::byte*>(height.data()), {DType::f32, {3, 16, 16, 1}}}},
                           {reinterpret_cast<std::byte*>(presence.data()), {DType::f32, {3, 2}}},
                           {reinterpret_cast<std::byte*>(labels.data()), {DType::u8, {3, 32, 32}}}};
};

}  // namespace

void test::count_allocation(std::size_t, const void*) {
    allocations.fetch_add(1, std::memory_order_relaxed);
}

TEST_CASE("an untouched sample is the stored tile, normalised, and empty places are ignored") {
    Fixture f;
    const data::EvaluationOrder order(f.source.layout(), 10, 3, 0, 1);
    data::Feeder feeder(f.source, order, 3, 0, 2, f.backend->sample_kernels());
    data::TileMemory stored(f.source.layout());
    for (std::int64_t n = 0; n < order.batches(); ++n) {
        feeder.next(f.slots);
        for (std::int64_t i = 0; i < 3; ++i) {
            const std::int64_t tile = n * 3 + i;
            CHECK(feeder.current()[static_cast<std::size_t>(i)].tile == (tile < 10 ? tile : -1));
            if (tile >= 10) {
                CHECK(f.labels[static_cast<std::size_t>(i * 1024 + 77)] == 255);
                CHECK(f.optical[static_cast<std::size_t>(i * 3072 + 77)] == 0);
                CHECK(f.presence[static_cast<std::size_t>(2 * i)] == 0);
                continue;
            }
            f.source.read(tile, stored);
            CHECK(std::memcmp(f.labels.data() + i * 1024, stored.labels.data, 1024) == 0);
            const float expected = (stored.modalities[0].values.as<std::uint8_t>()[500] - 100.0f) / 50.0f;
            CHECK(f.optical[static_cast<std::size_t>(i * 3072 + 500)] == Approx(expected).margin(1e-6));
            CHECK(f.presence[static_cast<std::size_t>(2 * i)] == 1);
        }
    }
}

TEST_CASE("a withheld modality arrives as zeros with presence 0") {
    Fixture f;
    const data::Sampler sampler({}, 1, f.source);
    const data::Augmentation augmentation({}, 0.5, f.source.layout(), 1);
    const data::TrainingOrder order(sampler, augmentation, {1, 3, 1}, 0);
    data::Feeder feeder(f.source, order, 3, 0, 2, f.backend->sample_kernels());
    int withheld = 0;
    for (int n = 0; n < 10; ++n) {
        feeder.next(f.slots);
        for (std::size_t i = 0; i < 3; ++i) {
            const bool present = feeder.current()[i].modalities[1].present;
            CHECK(f.presence[2 * i + 1] == (present ? 1.0f : 0.0f));
            bool any = false;
            for (std::size_t p = 0; p < 256; ++p) any = any || f.height[i * 256 + p] != 0;
            CHECK(any == present);
            withheld += !present;
        }
    }
    CHECK(withheld > 0);
}

TEST_CASE("starting at a later batch gives what the uninterrupted run gets there") {
    Fixture f;
    const data::Sampler sampler({}, 1, f.source);
    const data::Augmentation augmentation({}, 0, f.source.layout(), 1);
    const data::TrainingOrder order(sampler, augmentation, {1, 3, 1}, 0);
    data::Feeder whole(f.source, order, 3, 0, 2, f.backend->sample_kernels());
    for (int n = 0; n < 6; ++n) whole.next(f.slots);
    const std::vector<float> expected = f.optical;
    data::Feeder resumed(f.source, order, 3, 5, 2, f.backend->sample_kernels());
    resumed.next(f.slots);
    CHECK(f.optical == expected);
}

TEST_CASE("a tile that can't be read ends next() with the tile and the file") {
    Fixture f;
    f.source.broken_tile = 4;
    const data::EvaluationOrder order(f.source.layout(), 10, 3, 0, 1);
    data::Feeder feeder(f.source, order, 3, 0, 4, f.backend->sample_kernels());
    feeder.next(f.slots);
    try {
        feeder.next(f.slots);
        FAIL("the broken tile went unnoticed");
    } catch (const Error& error) {
        CHECK_THAT(error.message(), test::contains("synthetic tile 4"));
        CHECK_THAT(error.message(), test::contains("shard.h5"));
        CHECK(error.exit_code() == ExitCode::data_invalid);
    }
}

TEST_CASE("while a tile does not come, another thread can tell which one is waited for and what was before") {
    Fixture f;
    const data::EvaluationOrder order(f.source.layout(), 10, 3, 0, 1);
    std::binary_semaphore may_go_on{0};
    f.source.before_read = [&](std::int64_t tile) {
        if (tile == 4) may_go_on.acquire();
    };
    data::Feeder feeder(f.source, order, 3, 0, 2, f.backend->sample_kernels());
    feeder.next(f.slots);
    activity::State seen;
    std::thread other([&] {
        do {
            std::this_thread::yield();
            seen = activity::state();
        } while (seen.work != "waiting for tiles" || seen.reading != 4);
        may_go_on.release();
    });
    feeder.next(f.slots);
    other.join();
    CHECK(seen.tiles == std::vector<std::int64_t>{0, 1, 2});
    CHECK(activity::state().tiles == std::vector<std::int64_t>{3, 4, 5});
}

TEST_CASE("a feeder that is dropped while reading ahead ends at once") {
    Fixture f;
    const data::Sampler sampler({}, 1, f.source);
    const data::Augmentation augmentation({}, 0, f.source.layout(), 1);
    const data::TrainingOrder order(sampler, augmentation, {1, 3, 1}, 0);
    for (int n = 0; n < 50; ++n) {
        data::Feeder feeder(f.source, order, 3, 0, 1 + n % 4, f.backend->sample_kernels());
        if (n % 2 == 0) feeder.next(f.slots);
    }
    CHECK(f.source.reads > 0);
}

TEST_CASE("after the first round of the ring a batch allocates nothing") {
    Fixture f;
    config::Sampler settings;
    settings.balance = 0.5;
    const data::Sampler sampler(settings, 1, f.source);
    config::Augment changes;
    changes.rotation = 10;
    changes.noise = 0.1;
    const data::Augmentation augmentation(changes, 0.3, f.source.layout(), 1);
    const data::TrainingOrder order(sampler, augmentation, {1, 3, 1}, 0);
    data::Feeder feeder(f.source, order, 3, 0, 3, f.backend->sample_kernels());
    for (int n = 0; n < 8; ++n) feeder.next(f.slots);
    const std::int64_t before = allocations;
    for (int n = 0; n < 20; ++n) feeder.next(f.slots);
    CHECK(allocations - before == 0);
}

TEST_CASE(
    "maps of weak supervision are cut and turned like the labels; beyond the tile nothing is known or near") {
    test::SyntheticSource source(6, 32, 3, {"scribble", "pseudo_distance"});
    const auto backend = ref::make_ref_backend();
    Fixture f;
    std::vector<std::uint8_t> scribbles(3 * 32 * 32), distances(3 * 32 * 32);
    f.slots.maps = {{reinterpret_cast<std::byte*>(scribbles.data()), {DType::u8, {3, 32, 32}}},
                    {reinterpret_cast<std::byte*>(distances.data()), {DType::u8, {3, 32, 32}}}};
    config::Augment changes;
    changes.rotation = 30;
    changes.zoom = {0.6, 1.2};
    const data::Sampler sampler({}, 1, source);
    const data::Augmentation augmentation(changes, 0, source.layout(), 1);
    const data::TrainingOrder order(sampler, augmentation, {1, 3, 1}, 0);
    data::Feeder feeder(source, order, 3, 0, 2, backend->sample_kernels());
    std::int64_t outside = 0, inside = 0;
    for (int n = 0; n < 6; ++n) {
        feeder.next(f.slots);
        for (std::size_t i = 0; i < 3; ++i) {
            const data::SampleDraw& draw = feeder.current()[i];
            const device::SampleTransform& t = draw.transform;
            for (std::int64_t pixel = 0; pixel < 1024; ++pixel) {
                const double x = static_cast<double>(pixel % 32) + 0.5,
                             y = static_cast<double>(pixel / 32) + 0.5;
                const double column = t.xx * x + t.xy * y + t.x0, row = t.yx * x + t.yy * y + t.y0;
                const auto at = i * 1024 + static_cast<std::size_t>(pixel);
                if (column < 0 || row < 0 || column >= 32 || row >= 32) {
                    REQUIRE(scribbles[at] == 255);
                    REQUIRE(distances[at] == 0);
                    ++outside;
                    continue;
                }
                const auto c = static_cast<std::int64_t>(column), r = static_cast<std::int64_t>(row);
                REQUIRE(scribbles[at] == source.map_at("scribble", draw.tile, c, r));
                REQUIRE(distances[at] == source.map_at("pseudo_distance", draw.tile, c, r));
                ++inside;
            }
        }
    }
    CHECK(outside > 100);
    CHECK(inside > 10000);
}
