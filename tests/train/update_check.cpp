#include "train/update_check.hpp"

#include <cmath>
#include <limits>

#include "recipe/recipe.hpp"
#include "support/catch.hpp"
#include "train/network_setup.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

/// A device with a queue that can be recorded: what is queued while it records is done when it is replayed.
class Tape final : public device::Backend, public device::FlatKernels, public device::QueuedSums {
  public:
    int waits = 0, recordings = 0, replays = 0;

    std::string name() const override { return "tape"; }
    std::string description() const override { return name(); }
    device::Buffer allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        return inner_->make_plan(request);
    }
    device::FlatKernels& flat_kernels() override { return *this; }
    device::SampleKernels& sample_kernels() override { return inner_->sample_kernels(); }
    void copy_to_device(std::byte* device, const std::byte* host, std::size_t bytes) override {
        inner_->copy_to_device(device, host, bytes);
    }
    void copy_to_host(std::byte* host, const std::byte* device, std::size_t bytes) override {
        ++waits;
        inner_->copy_to_host(host, device, bytes);
    }
    void copy_to_host_later(std::byte* host, const std::byte* device, std::size_t bytes) override {
        queue([=] { std::memcpy(host, device, bytes); });
    }
    void copy_on_device(std::byte* to, const std::byte* from, std::size_t bytes) override {
        queue([=] { std::memcpy(to, from, bytes); });
    }
    void synchronise() override { ++waits; }
    std::unique_ptr<Recording> record(const std::function<void()>& work) override {
        ++recordings;
        auto recording = std::make_unique<Recorded>(*this);
        recording_ = recording.get();
        work();
        recording_ = nullptr;
        return recording;
    }

  private:
    struct Recorded final : Recording {
        explicit Recorded(Tape& owner) : tape(owner) {}
        Tape& tape;
        std::vector<std::function<void()>> work;
        void replay() override {
            ++tape.replays;
            for (const auto& one : work) one();
        }
    };
    void queue(std::function<void()> work) {
        if (recording_ == nullptr) return work();
        recording_->work.push_back(std::move(work));
    }

    void queue_sum_of_squares(std::span<const float> values, double* result) override {
        queue([this, values, result] { *result = inner_->flat_kernels().sum_of_squares(values); });
    }
    void queue_count_of_not_finite(std::span<const float> values, double* result) override {
        queue([this, values, result] { *result = inner_->flat_kernels().any_not_finite(values) ? 3 : 0; });
    }
    double sum_of_squares(std::span<const float> values) override {
        ++waits;
        return inner_->flat_kernels().sum_of_squares(values);
    }
    bool any_not_finite(std::span<const float> values) override {
        ++waits;
        return inner_->flat_kernels().any_not_finite(values);
    }
    void sgd(std::span<float>, std::span<const float>, std::span<float>,
             std::span<const device::UpdateSegment>, const device::UpdateScalars&) override {}
    void adamw(std::span<float>, std::span<const float>, std::span<float>, std::span<float>,
               std::span<const device::UpdateSegment>, const device::UpdateScalars&) override {}
    void blend(std::span<float>, std::span<const float>, double) override {}
    void add(std::span<float>, std::span<const float>) override {}
    void exchange(std::span<float>, std::span<float>) override {}

    std::unique_ptr<device::Backend> inner_ = ref::make_ref_backend();
    Recorded* recording_ = nullptr;
};

graph::Graph small_graph() {
    config::Config config = test::small_config();
    config.model.norm = "batch";
    const test::SyntheticSource source(4, 32, 3);
    return recipe::parameter_graph({.model = nets::completed(config.model),
                                    .loss = config.loss,
                                    .inputs = train::network_inputs(source.layout(), 2, 32),
                                    .crop = 32});
}

/// A store with numbers, and a check of it.
struct Checked {
    device::Backend& backend;
    graph::ParameterStore store{backend, small_graph()};
    std::int64_t size = static_cast<std::int64_t>(store.gradient_values().size());
    train::SavedStates states{store, backend};
    optim::Optimizer optimizer{
        {}, {{0, size / 2, 1, 1, 3}, {size / 2, size - size / 2, 1, 1, 0}}, size, backend};
    train::UpdateCheck check{optimizer, store, states, backend};

    explicit Checked(device::Backend& device) : backend(device) {
        store.initialise(5);
        const std::span<float> gradients = store.gradient_values();
        for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] = std::sin(static_cast<float>(i));
        states.look();
        states.keep();
    }
    train::UpdateCheck::Result look(std::int64_t step) {
        check.queue(step);
        CHECK(check.is_queued());
        backend.synchronise();
        return check.take();
    }
    float& first_state() {
        for (const auto& state : store.states()) {
            if (state.saved == graph::Saved::yes) return state.view().span<float>()[0];
        }
        throw std::logic_error("the network has no state");
    }
};

}  // namespace

TEST_CASE(
    "the check of an update is queued, recorded and read in one wait, and says what waiting for each says") {
    Tape tape;
    const auto plain_backend = ref::make_ref_backend();
    Checked queued(tape), plain(*plain_backend);
    for (std::int64_t step = 0; step < 9; ++step) {
        for (Checked* one : {&queued, &plain}) one->store.gradient_values()[7] += 1;
        tape.waits = 0;
        const auto a = queued.look(step), b = plain.look(step);
        CHECK(tape.waits == 1);
        CHECK(a.norm_of_sums == b.norm_of_sums);
        CHECK(b.norm_of_sums == plain.optimizer.norm_of_sums(plain.store.gradient_values(), step));
        CHECK((a.states_are_finite && b.states_are_finite));
        queued.states.keep();
        plain.states.keep();
    }
    // The states are copied aside to two places in turn, each recorded when it comes for the second time; the
    // group that is no longer frozen after three updates begins both anew.
    CHECK(tape.recordings == 3);
    CHECK(tape.replays == 5);
}

TEST_CASE(
    "numbers that are not finite are seen in recorded checks, and states go back to the last good ones") {
    Tape tape;
    Checked checked(tape);
    const float good = checked.first_state();
    for (std::int64_t step = 3; step < 9; ++step) {
        REQUIRE(checked.look(step).states_are_finite);
        checked.states.keep();
    }
    REQUIRE(tape.replays > 0);
    checked.first_state() = std::numeric_limits<float>::infinity();
    CHECK_FALSE(checked.look(9).states_are_finite);
    checked.states.restore();
    CHECK(checked.first_state() == good);
    CHECK(checked.look(9).states_are_finite);

    checked.store.gradient_values()[11] = std::numeric_limits<float>::quiet_NaN();
    CHECK_FALSE(std::isfinite(checked.look(9).norm_of_sums));
    checked.store.gradient_values()[11] = 1;
    CHECK(std::isfinite(checked.look(9).norm_of_sums));
}
