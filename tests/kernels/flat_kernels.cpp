// Optimizer updates and reductions over flat buffers against simple loops.
#include <algorithm>
#include <cmath>
#include <limits>

#include "device/queued_sums.hpp"
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
    device::UpdateScalars scalars{.rate = 0.1, .gradient_scale = 0.25, .weight_decay = 0.01, .momentum = 0.9};
    std::vector<double> w = drawn(elements, 1), v(elements, 0.0);
    const Floats parameters(*backend, w), velocity(*backend, v);
    for (std::uint64_t step = 1; step <= 3; ++step) {
        const std::vector<double> gradient = drawn(elements, 10 + step);
        const Floats gradients(*backend, gradient);
        backend->flat_kernels().sgd(parameters.span(), gradients.span(), velocity.span(), segments, scalars);
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

TEST_CASE("AdamW decays apart from the gradient and corrects its bias", "[flat]") {
    const auto backend = make_candidate();
    device::UpdateScalars scalars{.rate = 0.01,
                                  .gradient_scale = 0.5,
                                  .weight_decay = 0.05,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8};
    std::vector<double> w = drawn(elements, 2), m(elements, 0.0), v(elements, 0.0);
    const Floats parameters(*backend, w), moment1(*backend, m), moment2(*backend, v);
    for (std::uint64_t step = 1; step <= 3; ++step) {
        const std::vector<double> gradient = drawn(elements, 20 + step);
        const Floats gradients(*backend, gradient);
        scalars.step = static_cast<std::int64_t>(step);
        backend->flat_kernels().adamw(parameters.span(), gradients.span(), moment1.span(), moment2.span(),
                                      segments, scalars);
        for_each_element([&](const device::UpdateSegment& segment, std::size_t i) {
            const double rate = 0.01 * double{segment.rate_multiplier};
            const double g = gradient[i] * 0.5;
            w[i] *= 1 - rate * 0.05 * double{segment.decay_multiplier};
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            const double count = static_cast<double>(step);
            w[i] -= rate * (m[i] / (1 - std::pow(0.9, count))) /
                    (std::sqrt(v[i] / (1 - std::pow(0.999, count))) + 1e-8);
        });
        backend->synchronise();
    }
    check_close(parameters.values(), w);
    check_close(moment1.values(), m);
    check_close(moment2.values(), v);
    CHECK((parameters.canaries_intact() && moment1.canaries_intact() && moment2.canaries_intact()));
}

TEST_CASE("the first AdamW step of a single parameter", "[flat]") {
    // w (1 - 0.1 * 0.01) - 0.1 * 0.5 / (0.5 + 1e-8)
    const auto backend = make_candidate();
    const Floats w(*backend, {1.0}), g(*backend, {0.5}), m(*backend, {0.0}), v(*backend, {0.0});
    const std::vector<device::UpdateSegment> all{{0, 1, 1, 1}};
    backend->flat_kernels().adamw(
        w.span(), g.span(), m.span(), v.span(), all,
        {.rate = 0.1, .weight_decay = 0.01, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8});
    CHECK(w.values()[0] == Approx(0.899).epsilon(1e-6));
}

TEST_CASE("the sum of squares is that of a plain loop and repeats bit for bit", "[flat]") {
    const auto backend = make_candidate();
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{4096}, elements}) {
        const std::vector<double> numbers = drawn(count, 3);
        const Floats values(*backend, numbers);
        double expected = 0;
        for (const double value : numbers) expected += value * value;
        const double sum = backend->flat_kernels().sum_of_squares(values.span());
        CHECK(sum == Approx(expected).epsilon(1e-12));
        CHECK(sum == backend->flat_kernels().sum_of_squares(values.span()));
    }
    // Squares beyond the range of float.
    const Floats huge(*backend, {1e30, 1e30});
    CHECK(backend->flat_kernels().sum_of_squares(huge.span()) == Approx(2e60));
}

TEST_CASE("one value that is not finite is found wherever it is", "[flat]") {
    const auto backend = make_candidate();
    std::vector<double> numbers = drawn(elements, 4);
    numbers[5] = 3.4e38;  // large is not infinite
    CHECK_FALSE(backend->flat_kernels().any_not_finite(Floats(*backend, numbers).span()));
    const double infinity = std::numeric_limits<double>::infinity();
    for (const double bad : {infinity, -infinity, std::nan("")}) {
        for (const std::size_t position : {std::size_t{0}, std::size_t{4097}, numbers.size() - 1}) {
            std::vector<double> spoilt = numbers;
            spoilt[position] = bad;
            CHECK(backend->flat_kernels().any_not_finite(Floats(*backend, spoilt).span()));
        }
    }
}

TEST_CASE("sums that are only queued are those that are waited for", "[flat]") {
    const auto backend = make_candidate();
    auto* const queued = dynamic_cast<device::QueuedSums*>(&backend->flat_kernels());
    if (queued == nullptr) return;  // a device without a queue
    for (const std::int64_t count : {std::int64_t{0}, std::int64_t{1}, std::int64_t{4097}, elements}) {
        std::vector<double> numbers = drawn(count, 3);
        const Floats values(*backend, numbers);
        const device::Buffer results = backend->allocate(3 * sizeof(double));
        auto* const place = reinterpret_cast<double*>(results.data());
        const double stale[3] = {5, 5, 5};
        backend->copy_to_device(results.data(), reinterpret_cast<const std::byte*>(stale), sizeof(stale));
        queued->queue_sum_of_squares(values.span(), place);
        queued->queue_count_of_not_finite(values.span(), place + 1);
        double read[3];
        backend->copy_to_host(reinterpret_cast<std::byte*>(read), results.data(), sizeof(read));
        CHECK(read[0] == backend->flat_kernels().sum_of_squares(values.span()));
        CHECK(read[1] == 0);
        CHECK(read[2] == 5);
        if (count == 0) continue;
        numbers.front() = numbers.back() = std::nan("");
        const Floats bad(*backend, numbers);
        queued->queue_count_of_not_finite(bad.span(), place + 1);
        backend->copy_to_host(reinterpret_cast<std::byte*>(read), results.data(), sizeof(read));
        CHECK(read[1] == (count == 1 ? 1 : 2));
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
