#include "train/update.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "queued_kernels.hpp"
#include "recipe/recipe.hpp"
#include "support/catch.hpp"
#include "train/network_setup.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

/// A device with a queue that can be recorded: what is queued while it records is done when it is replayed.
class Tape final : public device::Backend {
  public:
    int waits = 0, recordings = 0, replays = 0;

    std::string name() const override { return "tape"; }
    std::string description() const override { return name(); }
    bool shares_host_memory() const override { return false; }
    device::Buffer allocate(std::size_t bytes) override { return inner_->allocate(bytes); }
    std::unique_ptr<device::OpPlan> make_plan(const device::PlanRequest& request) override {
        return inner_->make_plan(request);
    }
    device::FlatKernels& flat_kernels() override { return flat_; }
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
    /// Work that is done now, or whenever the recording being made is replayed.
    void queue(std::function<void()> work) {
        if (recording_ == nullptr) return work();
        recording_->work.push_back(std::move(work));
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

    std::unique_ptr<device::Backend> inner_ = ref::make_ref_backend();
    test::QueuedKernels flat_{inner_->flat_kernels(), [this](const std::string&, std::function<void()> work) {
                                  queue(std::move(work));
                              }};
    Recorded* recording_ = nullptr;
};

/// Adds what a second rank would say: in the device's queue, or at once.
struct TwoRanks final : device::Collectives {
    TwoRanks(Tape& device, bool is_queued) : tape(device), queued(is_queued) {}

    Tape& tape;
    bool queued;
    std::vector<double> other;
    int sums = 0;

    int rank() const override { return 0; }
    int size() const override { return 2; }
    bool are_queued() const override { return queued; }
    void sum(std::span<float>) override {}
    void sum(std::span<double> values) override {
        const auto add = [this, values] {
            ++sums;
            for (std::size_t i = 0; i < values.size(); ++i) values[i] += other.at(i);
        };
        if (queued) {
            tape.queue(add);
        } else {
            add();
        }
    }
    void sum(std::span<std::int64_t>) override {}
    Ticket start_sum(std::span<float>) override { return 0; }
    void wait(Ticket) override {}
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

/// A store with numbers, and its updates.
struct Updated {
    device::Backend& backend;
    graph::ParameterStore store{backend, small_graph()};
    std::int64_t size = static_cast<std::int64_t>(store.gradient_values().size());
    train::SavedStates states{store, backend};
    optim::Optimizer optimizer{
        {}, {{0, size / 2, 1, 1, 3}, {size / 2, size - size / 2, 1, 1, 0}}, size, backend, true};
    device::SingleRank alone;
    float loss_scale = 1;
    double losses[4] = {3, 10, 5, 6};
    train::Update update;

    explicit Updated(device::Backend& device, device::Collectives* sums = nullptr)
        : backend(device),
          update(optimizer, store, states, backend, sums != nullptr ? *sums : alone, &loss_scale, 2, 2) {
        store.initialise(5);
        const std::span<float> gradients = store.gradient_values();
        for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] = std::sin(static_cast<float>(i));
        states.keep();
    }
    void queue() { update.queue({.rate = 1e-2}, {losses, 2, 1}); }
    device::UpdateRecord make() {
        queue();
        return update.take().record;
    }
    float& first_state() {
        for (const auto& state : store.states()) {
            if (state.saved == graph::Saved::yes) return state.view().span<float>()[0];
        }
        throw std::logic_error("the network has no state");
    }
};

}  // namespace

TEST_CASE("updates are recorded once and replayed, and do what updates without a queue do") {
    Tape tape;
    const auto plain_backend = ref::make_ref_backend();
    Updated queued(tape), plain(*plain_backend);
    for (std::int64_t step = 0; step < 9; ++step) {
        for (Updated* one : {&queued, &plain}) {
            one->store.gradient_values()[7] += 1;
            one->first_state() += 1;
            one->losses[0] += 1;
        }
        tape.waits = 0;
        const device::UpdateRecord a = queued.make(), b = plain.make();
        CHECK(tape.waits == 1);
        CHECK(a.verdict == device::Verdict::made);
        CHECK(a.updates == step + 1);
        CHECK(a.sums.loss == queued.losses[0] + 5);
        CHECK(a.sums.normaliser == 16);
        CHECK(a.norm_of_sums == b.norm_of_sums);
        CHECK(a.gradient_norm == b.gradient_norm);
        CHECK(a.gradient_norm == a.norm_of_sums / 16);
        const auto x = queued.store.trainable_values(), y = plain.store.trainable_values();
        CHECK(std::equal(x.begin(), x.end(), y.begin()));
    }
    // Also over the update that releases the first half of the parameters.
    CHECK(tape.recordings == 1);
    CHECK(tape.replays == 8);
}

TEST_CASE("the host may queue an update while the one before is not read yet") {
    Tape tape;
    Updated updated(tape);
    updated.losses[0] = 1;
    updated.queue();
    updated.losses[0] = 2;
    updated.queue();
    CHECK(tape.waits == 0);
    CHECK(updated.update.waiting() == 2);
    const train::Update::Result first = updated.update.take();
    CHECK(first.record.sums.loss == 6);
    REQUIRE(first.losses.size() == 4);
    CHECK(first.losses[0] == 1);
    CHECK(first.losses[3] == 6);
    updated.losses[0] = 3;
    updated.queue();
    CHECK(updated.update.take().record.sums.loss == 7);
    CHECK(updated.update.take().record.sums.loss == 8);
    CHECK(updated.update.waiting() == 0);
}

TEST_CASE("numbers that are not finite are seen in recorded updates, which then leave no trace") {
    Tape tape;
    Updated updated(tape);
    for (int step = 0; step < 5; ++step) REQUIRE(updated.make().verdict == device::Verdict::made);
    REQUIRE(tape.replays > 0);
    const auto parameters = [&] {
        const auto values = updated.store.trainable_values();
        return std::vector<float>(values.begin(), values.end());
    };
    const std::vector<float> before = parameters();
    const float good = updated.first_state();
    updated.first_state() = std::numeric_limits<float>::infinity();
    CHECK(updated.make().verdict == device::Verdict::bad_states);
    CHECK(updated.first_state() == good);
    CHECK(updated.loss_scale == 0.5f);

    float& gradient = updated.store.gradient_values()[11];
    gradient = std::numeric_limits<float>::quiet_NaN();
    CHECK(updated.make().verdict == device::Verdict::bad_gradient);
    gradient = 1;
    updated.losses[2] = std::numeric_limits<double>::infinity();
    CHECK(updated.make().verdict == device::Verdict::bad_loss);
    CHECK(parameters() == before);
    CHECK(updated.loss_scale == 0.125f);
    updated.losses[2] = 5;
    const device::UpdateRecord made = updated.make();
    CHECK(made.verdict == device::Verdict::made);
    CHECK(made.updates == 6);
    CHECK(made.gradient_norm == made.norm_of_sums / (16 * 0.125));
    CHECK(parameters() != before);
}

TEST_CASE("what decides is summed over the ranks, within the recording or by way of the host") {
    for (const bool queued : {false, true}) {
        CAPTURE(queued);
        Tape tape;
        TwoRanks ranks(tape, queued);
        ranks.other = {1, 4, 1, 0, 0};
        Updated updated(tape, &ranks);
        for (int step = 0; step < 4; ++step) {
            const device::UpdateRecord record = updated.make();
            CHECK(record.sums.loss == 9);
            CHECK(record.sums.normaliser == 20);
            CHECK(record.sums.votes_to_stop == 1);
            CHECK(record.gradient_norm == record.norm_of_sums / 20);
        }
        CHECK(ranks.sums == 4);
        CHECK(tape.recordings == (queued ? 1 : 2));
        ranks.other = {0, 0, 0, 1, 0};
        CHECK(updated.make().verdict == device::Verdict::bad_gradient);
    }
}
