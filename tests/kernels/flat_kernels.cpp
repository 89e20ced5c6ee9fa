// Optimizer updates, verdicts and reductions over flat buffers against simple loops.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device/flat_kernels.hpp"
#include "kernels/candidate.hpp"
#include "kernels/case_data.hpp"
#include "kernels/guarded_buffer.hpp"
#include "support/catch.hpp"

using namespace terrane;
using namespace terrane::test;

namespace {

constexpr std::int64_t elements = 10007;  // more than two blocks of a reduction, and odd

/// Floats on the device.
class Floats {
  public:
    Floats(device::Backend& backend, const std::vector<double>& values)
        : buffer_(backend, encode(values, DType::f32)), count_(values.size()) {}
    std::span<float> span() const { return {reinterpret_cast<float*>(buffer_.data()), count_}; }
    std::vector<double> values() const { return decode(buffer_.read(), DType::f32); }
    bool canaries_intact() const { return buffer_.canaries_intact(); }

  private:
    GuardedBuffer buffer_;
    std::size_t count_;
};

/// Structs on the device.
template <typename T>
class Structs {
  public:
    Structs(device::Backend& backend, const std::vector<T>& values)
        : backend_(backend), memory_(backend.allocate(values.size() * sizeof(T))) {
        backend.copy_to_device(memory_.data(), reinterpret_cast<const std::byte*>(values.data()),
                               memory_.bytes());
    }
    Structs(device::Backend& backend, const T& value) : Structs(backend, std::vector<T>{value}) {}
    T* data() const { return reinterpret_cast<T*>(memory_.data()); }
    std::span<T> span() const { return {data(), memory_.bytes() / sizeof(T)}; }
    T read(std::size_t place = 0) const {
        T value;
        backend_.copy_to_host(reinterpret_cast<std::byte*>(&value),
                              reinterpret_cast<const std::byte*>(data() + place), sizeof(T));
        return value;
    }

  private:
    device::Backend& backend_;
    device::Buffer memory_;
};

double sum_of_squares(device::Backend& backend, std::span<const float> values) {
    const Structs<double> result(backend, 5.0);
    backend.flat_kernels().sum_of_squares(values, result.data());
    return result.read();
}

double count_not_finite(device::Backend& backend, std::span<const float> values) {
    const Structs<double> result(backend, 5.0);
    backend.flat_kernels().count_not_finite(values, result.data());
    return result.read();
}

std::vector<double> drawn(std::int64_t count, std::uint64_t stream) {
    return standard_values(count, Values::reals, DType::f32, 1, stream);
}

const std::vector<device::UpdateSegment> segments{{0, 1000, 1, 1},
                                                  {1000, 333, 10, 0},  // rate tenfold, no decay
                                                  {1344, 5000, 0.5f, 1},
                                                  {9000, 1000, 1, 2}};

/// Calls update(segment, element) for the elements of all segments; the others must stay as they are.
template <typename Update>
void for_each_element(Update update) {
    for (const device::UpdateSegment& segment : segments) {
        for (std::int64_t i = 0; i < segment.length; ++i) {
            update(segment, static_cast<std::size_t>(segment.offset + i));
        }
    }
}

void check_close(const std::vector<double>& values, const std::vector<double>& expected) {
    double worst = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const double error = std::abs(values[i] - expected[i]) / std::max(1.0, std::abs(expected[i]));
        if (!(error <= worst)) worst = error;
    }
    CHECK(worst < 2e-6);  // three steps in single precision
}

}  // namespace

TEST_CASE("SGD with momentum follows PyTorch's rule in every segment and nowhere else", "[flat]") {
    const auto backend = make_candidate();
    const device::UpdateScalars scalars{
        .rate = 0.1, .gradient_scale = 0.25, .weight_decay = 0.01, .momentum = 0.9};
    const Structs table(*backend, segments);
    const Structs numbers(*backend, scalars);
    std::vector<double> w = drawn(elements, 1), v(elements, 0.0);
    const Floats parameters(*backend, w), velocity(*backend, v);
    for (std::uint64_t step = 1; step <= 3; ++step) {
        const std::vector<double> gradient = drawn(elements, 10 + step);
        const Floats gradients(*backend, gradient);
        backend->flat_kernels().sgd(parameters.span(), gradients.span(), velocity.span(), {}, table.span(),
                                    numbers.data());
        for_each_element([&](const device::UpdateSegment& segment, std::size_t i) {
            const double g = gradient[i] * 0.25 + 0.01 * double{segment.decay_multiplier} * w[i];
            v[i] = 0.9 * v[i] + g;
            w[i] -= 0.1 * double{segment.rate_multiplier} * v[i];
        });
        backend->synchronise();
    }
    check_close(parameters.values(), w);
    check_close(velocity.values(), v);
    CHECK(parameters.values()[8000] == drawn(elements, 1)[8000]);
    CHECK((parameters.canaries_intact() && velocity.canaries_intact()));
}

TEST_CASE("AdamW decays apart from the gradient, corrects its bias, and an average follows it", "[flat]") {
    const auto backend = make_candidate();
    device::UpdateScalars scalars{.rate = 0.01,
                                  .gradient_scale = 0.5,
                                  .weight_decay = 0.05,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .average_keep = 0.75};
    const Structs table(*backend, segments);
    std::vector<double> w = drawn(elements, 2), m(elements, 0.0), v(elements, 0.0), mean = w;
    const Floats parameters(*backend, w), moment1(*backend, m), moment2(*backend, v), average(*backend, w);
    for (std::uint64_t step = 1; step <= 3; ++step) {
        const std::vector<double> gradient = drawn(elements, 20 + step);
        const Floats gradients(*backend, gradient);
        scalars.step = static_cast<std::int64_t>(step);
        const Structs numbers(*backend, scalars);
        backend->flat_kernels().adamw(parameters.span(), gradients.span(), moment1.span(), moment2.span(),
                                      average.span(), table.span(), numbers.data());
        for_each_element([&](const device::UpdateSegment& segment, std::size_t i) {
            const double rate = 0.01 * double{segment.rate_multiplier};
            const double g = gradient[i] * 0.5;
            w[i] *= 1 - rate * 0.05 * double{segment.decay_multiplier};
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            const double count = static_cast<double>(step);
            w[i] -= rate * (m[i] / (1 - std::pow(0.9, count))) /
                    (std::sqrt(v[i] / (1 - std::pow(0.999, count))) + 1e-8);
            mean[i] = 0.75 * mean[i] + 0.25 * w[i];
        });
        backend->synchronise();
    }
    check_close(parameters.values(), w);
    check_close(moment1.values(), m);
    check_close(moment2.values(), v);
    check_close(average.values(), mean);
    CHECK((parameters.canaries_intact() && moment1.canaries_intact() && moment2.canaries_intact() &&
           average.canaries_intact()));
}

TEST_CASE("the first AdamW step of a single parameter", "[flat]") {
    // w (1 - 0.1 * 0.01) - 0.1 * 0.5 / (0.5 + 1e-8)
    const auto backend = make_candidate();
    const Floats w(*backend, {1.0}), g(*backend, {0.5}), m(*backend, {0.0}), v(*backend, {0.0});
    const Structs all(*backend, device::UpdateSegment{0, 1, 1, 1});
    const Structs scalars(
        *backend, device::UpdateScalars{
                      .rate = 0.1, .weight_decay = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8});
    backend->flat_kernels().adamw(w.span(), g.span(), m.span(), v.span(), {}, all.span(), scalars.data());
    CHECK(w.values()[0] == Approx(0.899).epsilon(1e-6));
}

TEST_CASE("an update that is not made, and a segment that is still frozen, change nothing", "[flat]") {
    const auto backend = make_candidate();
    const std::vector<double> start = drawn(elements, 7);
    const Floats w(*backend, start), g(*backend, drawn(elements, 8)), v(*backend, start), a(*backend, start);
    const Structs table(
        *backend, std::vector<device::UpdateSegment>{{0, 5001, 1, 1, 3}, {5001, elements - 5001, 1, 1, 0}});
    device::UpdateScalars scalars{.rate = 0.1, .momentum = 0.5, .step = 3, .average_keep = 0.5};
    const auto run = [&] {
        const Structs numbers(*backend, scalars);
        backend->flat_kernels().sgd(w.span(), g.span(), v.span(), a.span(), table.span(), numbers.data());
        backend->synchronise();
    };
    scalars.is_made = false;
    run();
    CHECK(w.values() == start);
    CHECK(v.values() == start);
    CHECK(a.values() == start);
    scalars.is_made = true;
    run();
    const std::vector<double> after = w.values();
    for (std::size_t i = 0; i < after.size(); ++i) REQUIRE((after[i] == start[i]) == (i < 5001));
    scalars.step = 4;
    run();
    CHECK(w.values()[5000] != start[5000]);
    CHECK((w.canaries_intact() && v.canaries_intact() && a.canaries_intact()));
}

TEST_CASE("the sum of squares is that of a plain loop and repeats bit for bit", "[flat]") {
    const auto backend = make_candidate();
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{4096}, elements}) {
        const std::vector<double> numbers = drawn(count, 3);
        const Floats values(*backend, numbers);
        double expected = 0;
        for (const double value : numbers) expected += value * value;
        const double sum = sum_of_squares(*backend, values.span());
        CHECK(sum == Approx(expected).epsilon(1e-12));
        CHECK(sum == sum_of_squares(*backend, values.span()));
    }
    // Squares beyond the range of float.
    const Floats huge(*backend, {1e30, 1e30});
    CHECK(sum_of_squares(*backend, huge.span()) == Approx(2e60));
}

TEST_CASE("values that are not finite are counted wherever they are", "[flat]") {
    const auto backend = make_candidate();
    std::vector<double> numbers = drawn(elements, 4);
    numbers[5] = 3.4e38;  // large is not infinite
    CHECK(count_not_finite(*backend, Floats(*backend, numbers).span()) == 0);
    CHECK(count_not_finite(*backend, {}) == 0);
    const double infinity = std::numeric_limits<double>::infinity();
    for (const double bad : {infinity, -infinity, std::nan("")}) {
        std::vector<double> spoilt = numbers;
        for (const std::size_t position : {std::size_t{0}, std::size_t{4097}, numbers.size() - 1}) {
            std::vector<double> one = numbers;
            one[position] = spoilt[position] = bad;
            CHECK(count_not_finite(*backend, Floats(*backend, one).span()) == 1);
        }
        CHECK(count_not_finite(*backend, Floats(*backend, spoilt).span()) == 3);
    }
}

TEST_CASE("the total of a pass is the weighted sum of its losses, with the first one's normaliser",
          "[flat]") {
    const auto backend = make_candidate();
    for (const std::int64_t count : {1, 3, 16, 37}) {
        const std::vector<double> values = drawn(2 * count, 5);
        const Structs memory(*backend, values);
        std::vector<device::LossTerm> losses;
        double expected = 0;
        for (std::int64_t i = 0; i < count; ++i) {
            losses.push_back({memory.data() + 2 * i, 0.5 + static_cast<double>(i)});
            expected += losses.back().weight * values[static_cast<std::size_t>(2 * i)];
        }
        const Structs totals(*backend, std::vector<double>{7, 7, 7});
        backend->flat_kernels().total_losses(losses, totals.data());
        CHECK(totals.read(0) == Approx(expected).epsilon(1e-12));
        CHECK(totals.read(1) == values[1]);
        CHECK(totals.read(2) == 7);
    }
}

TEST_CASE("an update is gathered from its facts and judged by the sums", "[flat]") {
    const auto backend = make_candidate();
    const Structs losses(*backend, std::vector<double>{3, 10, 5, 6});
    const Structs squares(*backend, std::vector<double>{9, 16, 100});
    const Structs first_updates(*backend, std::vector<std::int64_t>{0, 5, 6});
    const Structs counts(*backend, std::vector<double>{0, 0});
    device::UpdateFacts facts;
    facts.losses = {losses.data(), 2, 0.5};
    facts.squares = squares.data();
    facts.first_updates = first_updates.data();
    facts.parts = 3;
    facts.not_finite = counts.data();
    facts.counts = 2;
    device::UpdateRecord before;
    before.order = {.rate = 0.25, .votes_to_stop = 1};
    before.updates = 5;  // the last part is frozen for one more update
    before.loss_scale = {2, 7};
    const Structs record(*backend, before);
    backend->flat_kernels().gather(facts, record.data());
    const device::UpdateRecord gathered = record.read();
    CHECK(gathered.sums.loss == 8);
    CHECK(gathered.sums.normaliser == 8);
    CHECK(gathered.sums.votes_to_stop == 1);
    CHECK(gathered.sums.bad_gradients == 0);
    CHECK(gathered.sums.bad_states == 0);
    CHECK(gathered.norm_of_sums == 5);

    const device::UpdateRules rules{.weight_decay = 0.125,
                                    .decay = device::WeightDecay::coupled,
                                    .momentum = 0.5,
                                    .beta1 = 0.75,
                                    .beta2 = 0.875,
                                    .epsilon = 1e-8,
                                    .clip_norm = 0.1,
                                    .average_decay = 0.99,
                                    .scales_loss = true};
    const Structs scale(*backend, 9.0f);
    backend->flat_kernels().judge(rules, record.data(), scale.data());
    const device::UpdateRecord judged = record.read();
    CHECK(judged.verdict == device::Verdict::made);
    CHECK(judged.gradient_norm == 5.0 / 16);
    CHECK(judged.updates == 6);
    CHECK(judged.loss_scale == device::LossScale{2, 8});
    CHECK(scale.read() == 2);
    const device::UpdateScalars& scalars = judged.scalars;
    CHECK(scalars.is_made);
    CHECK(scalars.rate == 0.25);
    CHECK(scalars.gradient_scale == Approx(0.1 / (5.0 / 16 + 1e-6) / 16).epsilon(1e-14));
    CHECK(scalars.weight_decay == 0.125);
    CHECK(scalars.decay == device::WeightDecay::coupled);
    CHECK(scalars.momentum == 0.5);
    CHECK((scalars.beta1 == 0.75 && scalars.beta2 == 0.875 && scalars.epsilon == 1e-8));
    CHECK(scalars.step == 6);
    CHECK(scalars.average_keep == Approx(7.0 / 16).epsilon(1e-14));

    // What is not finite on any rank is left out, in this order; the loss scale takes the blame.
    const double nan = std::nan("");
    const auto verdict_of = [&](double loss, double gradients, double states) {
        device::UpdateRecord bad = gathered;
        bad.sums = {loss, 8, 0, gradients, states};
        const Structs place(*backend, bad);
        backend->flat_kernels().judge(rules, place.data(), scale.data());
        const device::UpdateRecord result = place.read();
        CHECK_FALSE(result.scalars.is_made);
        CHECK(result.updates == 5);
        CHECK(result.is_overflow);
        CHECK(result.loss_scale == device::LossScale{1, 0});
        CHECK(scale.read() == 1);
        return result.verdict;
    };
    CHECK(verdict_of(nan, 1, 1) == device::Verdict::bad_loss);
    CHECK(verdict_of(std::numeric_limits<double>::infinity(), 0, 0) == device::Verdict::bad_loss);
    CHECK(verdict_of(1, 2, 1) == device::Verdict::bad_gradient);
    CHECK(verdict_of(1, 0, 1) == device::Verdict::bad_states);

    // No labelled pixel anywhere: an update that changes nothing.
    device::UpdateRecord empty = gathered;
    empty.sums = {};
    const Structs place(*backend, empty);
    backend->flat_kernels().judge(rules, place.data(), nullptr);
    const device::UpdateRecord nothing = place.read();
    CHECK(nothing.verdict == device::Verdict::made);
    CHECK_FALSE(nothing.scalars.is_made);
    CHECK(nothing.updates == 6);
    CHECK(nothing.gradient_norm == 0);
}

TEST_CASE("what is not finite on a rank is gathered", "[flat]") {
    const auto backend = make_candidate();
    const Structs squares(*backend, std::vector<double>{9, std::nan("")});
    const Structs first_updates(*backend, std::vector<std::int64_t>{0, 1});
    const Structs counts(*backend, std::vector<double>{0, 2});
    device::UpdateFacts facts;
    facts.squares = squares.data();
    facts.first_updates = first_updates.data();
    facts.parts = 2;
    facts.not_finite = counts.data();
    facts.counts = 2;
    device::UpdateRecord record;
    const auto gathered = [&] {
        const Structs place(*backend, record);
        backend->flat_kernels().gather(facts, place.data());
        return place.read();
    };
    CHECK(gathered().sums.bad_gradients == 0);  // frozen, so nobody minds
    CHECK(gathered().norm_of_sums == 3);
    CHECK(gathered().sums.bad_states == 1);
    record.updates = 1;
    facts.counts = 1;
    CHECK(gathered().sums.bad_gradients == 1);
    CHECK(gathered().sums.bad_states == 0);
}

TEST_CASE("values are kept after an update that was made, and go back after one that was not", "[flat]") {
    const auto backend = make_candidate();
    const std::vector<double> fresh = drawn(elements, 5), old = drawn(elements, 6);
    for (const auto verdict : {device::Verdict::made, device::Verdict::bad_loss}) {
        const Floats values(*backend, fresh), kept(*backend, old);
        device::UpdateRecord record;
        record.verdict = verdict;
        const Structs place(*backend, record);
        backend->flat_kernels().settle(values.span(), kept.span(), place.data());
        backend->synchronise();
        const std::vector<double>& expected = verdict == device::Verdict::made ? fresh : old;
        CHECK(values.values() == expected);
        CHECK(kept.values() == expected);
        CHECK((values.canaries_intact() && kept.canaries_intact()));
    }
}

TEST_CASE("adding one buffer to another is exact and symmetric", "[flat]") {
    const auto backend = make_candidate();
    const std::vector<double> a = drawn(elements, 5), b = drawn(elements, 6);
    const Floats sum(*backend, a), other_way(*backend, b), first(*backend, a), second(*backend, b);
    backend->flat_kernels().add(sum.span(), second.span());
    backend->flat_kernels().add(other_way.span(), first.span());
    const std::vector<double> found = sum.values();
    CHECK(found == other_way.values());
    for (std::size_t i = 0; i < found.size(); ++i)
        REQUIRE(found[i] == double{static_cast<float>(a[i]) + static_cast<float>(b[i])});
    CHECK(sum.canaries_intact());
    CHECK(second.values() == b);
}
