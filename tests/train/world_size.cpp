// Runs that go on with other ranks, and runs whose bits do not depend on the ranks. Started with four ranks,
// which form smaller groups.
#include <mpi.h>

#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "comm/mpi_communicator.hpp"
#include "support/catch.hpp"
#include "training_fixture.hpp"

using namespace terrane;

namespace {

/// The first `size` ranks of all as a group of their own; the others are none of it.
class Group {
  public:
    explicit Group(int size) {
        int rank = 0;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm part = MPI_COMM_NULL;
        MPI_Comm_split(MPI_COMM_WORLD, rank < size ? 0 : MPI_UNDEFINED, rank, &part);
        if (part == MPI_COMM_NULL) return;
        communicator_.emplace(part);
        MPI_Comm_free(&part);
    }
    ~Group() {
        if (communicator_) communicator_->close();
    }
    comm::MpiCommunicator* get() { return communicator_ ? &*communicator_ : nullptr; }

  private:
    std::optional<comm::MpiCommunicator> communicator_;
};

struct Result {
    std::vector<std::byte> bytes;
    std::vector<float> parameters;
    std::vector<double> losses;
    std::vector<double> evaluations;
    std::int64_t micro_steps = 0;
};

/// A folder that rank 0 of all made.
class SharedFolder {
  public:
    SharedFolder() {
        comm::MpiCommunicator all(MPI_COMM_WORLD);
        if (all.rank() == 0) folder_.emplace();
        path_ = folder_ ? folder_->path().string() : "";
        all.broadcast(path_, 0);
        all.close();
    }
    ~SharedFolder() { MPI_Barrier(MPI_COMM_WORLD); }
    const std::string& path() const { return path_; }

  private:
    std::optional<test::TemporaryFolder> folder_;
    std::string path_;
};

/// Trains on the first `ranks` ranks, to the end or for `steps` steps; the others wait.
Result train_on(int ranks, const config::Config& config, const std::string& folder, std::int64_t steps = -1) {
    Result result;
    {
        Group group(ranks);
        if (comm::Communicator* communicator = group.get()) {
            test::SyntheticSource training(20, 32, 3), validation(5, 32, 3);
            const auto backend = ref::make_ref_backend();
            test::Recorder recorder;
            train::TrainingSetup setup{config,        training, &validation, *backend,
                                       *communicator, folder,   recorder};
            setup.stop_requested = [&] {
                return static_cast<std::int64_t>(recorder.steps.size()) + 1 == steps;
            };
            train::Trainer trainer(setup);
            trainer.prepare();
            trainer.run();
            result.bytes = test::bytes_of(trainer.store());
            const auto values = trainer.store().trainable_values();
            result.parameters.assign(values.begin(), values.end());
            for (const auto& step : recorder.steps) result.losses.push_back(step.loss);
            for (const auto& evaluation : recorder.evaluations) result.evaluations.push_back(evaluation.loss);
            result.micro_steps = trainer.state().micro_steps;
        }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return result;
}

bool takes_part(int ranks) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank < ranks;
}

config::Config eight_at_once() {
    config::Config config = test::small_config();
    config.train.global_batch = 8;
    config.train.steps = 4;
    config.model.dropout = 0.2;
    config.model.modality_dropout = 0.2;
    config.optim.ema_decay = 0.9;
    config.eval.every_steps = 2;
    return config;
}

double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
    double difference = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
        size += double{b[i]} * b[i];
    }
    return std::sqrt(difference / size);
}

}  // namespace

TEST_CASE("a run that goes on with another number of ranks ends where the uninterrupted one does") {
    const auto [before, after] = GENERATE(table<int, int>({{1, 2}, {2, 1}, {4, 2}}));
    config::Config config = eight_at_once();
    config.model.norm = GENERATE(as<std::string>(), "batch", "sync_batch");
    // A group of a rank's samples can be kept if the ranks that follow can have it, too.
    if (before < after && config.model.norm == "batch") config.train.batch = 4;
    CAPTURE(before, after, config.model.norm);
    SharedFolder whole, parts;
    const Result uninterrupted = train_on(before, config, whole.path());
    const Result first = train_on(before, config, parts.path(), 2);
    const Result rest = train_on(after, config, parts.path());
    if (!takes_part(std::min(before, after))) return;
    REQUIRE(first.losses.size() == 2);
    REQUIRE(rest.losses.size() == 2);
    for (std::size_t i = 0; i < 2; ++i)
        CHECK(rest.losses[i] == Approx(uninterrupted.losses[i + 2]).epsilon(1e-5));
    CHECK(relative_difference(rest.parameters, uninterrupted.parameters) < 1e-5);
}

TEST_CASE("with --deterministic=ranks, 1, 2 and 4 ranks give the same bits") {
    config::Config config = eight_at_once();
    config.model.norm = "batch";
    config.loss.terms.push_back({.name = "dice", .weight = 0.5});
    config.runtime.deterministic = "ranks";
    SharedFolder one, two, four, without;
    const Result alone = train_on(1, config, one.path());
    const Result pair = train_on(2, config, two.path());
    const Result all = train_on(4, config, four.path());
    if (takes_part(1)) {
        CHECK(alone.micro_steps == 8);
        CHECK(alone.losses.size() == 4);
        CHECK(pair.bytes == alone.bytes);
        CHECK(pair.losses == alone.losses);
        CHECK(pair.evaluations == alone.evaluations);
        CHECK(all.bytes == alone.bytes);
        CHECK(all.losses == alone.losses);
        CHECK(all.evaluations == alone.evaluations);
    }
    // The same samples as without: only what batch norm and sums see is cut differently.
    config.runtime.deterministic = "run";
    const Result usual = train_on(1, config, without.path());
    if (takes_part(1)) CHECK(alone.losses[0] == Approx(usual.losses[0]).epsilon(0.2));
    if (takes_part(1)) CHECK(alone.bytes != usual.bytes);
}

TEST_CASE("with --deterministic=ranks, a run may go on with other ranks and keep its bits") {
    config::Config config = eight_at_once();
    config.model.norm = "batch";
    config.runtime.deterministic = "ranks";
    SharedFolder whole, parts;
    const Result uninterrupted = train_on(1, config, whole.path());
    train_on(4, config, parts.path(), 2);
    const Result rest = train_on(2, config, parts.path());
    if (takes_part(1)) CHECK(rest.bytes == uninterrupted.bytes);
}

TEST_CASE("what --deterministic=ranks can't do is refused") {
    config::Config config = eight_at_once();
    config.runtime.deterministic = "ranks";
    config.model.norm = "sync_batch";
    SharedFolder folder;
    const auto refusal = [&] {
        try {
            Group group(1);
            if (group.get() == nullptr) return std::string("not asked");
            test::SyntheticSource training(20, 32, 3);
            const auto backend = ref::make_ref_backend();
            test::Recorder recorder;
            train::Trainer trainer(
                {config, training, nullptr, *backend, *group.get(), folder.path(), recorder});
            return std::string("accepted");
        } catch (const Error& error) {
            return std::string(error.what());
        }
    };
    const auto check = [](const std::string& text, const std::string& part) {
        if (takes_part(1)) CHECK_THAT(text, test::contains(part));
    };
    check(refusal(), "E0509");
    config.model.norm = "batch";
    check(refusal(), "accepted");
    config.optim.lr_scale = "linear_world";
    check(refusal(), "E0509");
    config.optim.lr_scale = "none";
    config.train.batch = 2;
    check(refusal(), "E0509");
    config.train.batch = 0;
    config.train.virtual_shards = 3;
    check(refusal(), "no power of two");
    config.train.virtual_shards = 16;
    check(refusal(), "global_batch 8 is not divisible by 16 virtual shards. Nearest: 16.");
}
