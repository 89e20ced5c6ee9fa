#include <algorithm>

#include "base/philox.hpp"
#include "recipe/loss_ledger.hpp"
#include "recipe/recursion.hpp"

namespace terrane::recipe {

namespace {

/// Every pass of a mini-batch is an update of its own: gradients add up over micro-batches and patches, then
/// the next pass goes on from the detached state.
class DiffusionTraining final : public Training {
  public:
    DiffusionTraining(const Design& design, const Machine& machine)
        : micro_steps_(design.micro_steps),
          sums_patches_(design.model.diffusion.patch_reduce == "sum"),
          recursion_(design, machine, design.micro_steps),
          losses_(machine.backend, design.micro_steps * recursion_.most_patches()),
          keys_(static_cast<std::size_t>(recursion_.batch())) {}

    TensorView input(const std::string& name) const override { return recursion_.input(name); }
    std::int64_t updates() const override { return recursion_.passes(); }
    std::int64_t most_passes() const override { return micro_steps_ * recursion_.most_patches(); }
    void parameters_changed() override { recursion_.parameters_changed(); }
    std::size_t bytes() const override { return recursion_.bytes() + losses_.bytes(); }
    std::vector<Part> parts() override { return recursion_.parts(); }

    void run(const MiniBatch& batch) override {
        for (std::int64_t m = 0; m < batch.micro_steps; ++m) {
            batch.fill(m);
            const std::int64_t first =
                batch.step * batch.micro_steps * batch.ranks * batch.batch + batch.first_sample(m);
            for (std::size_t i = 0; i < keys_.size(); ++i) keys_[i] = first + static_cast<std::int64_t>(i);
            recursion_.take(m, noise_seed(batch.seed), keys_);
        }
        for (std::int64_t pass = 0; pass < recursion_.passes(); ++pass) {
            const std::int64_t patches = recursion_.patches(pass);
            for (std::int64_t m = 0; m < batch.micro_steps; ++m) {
                const device::StepState state = batch.state(m, batch.step * updates() + pass);
                recursion_.pass(m, pass, noise_seed(batch.seed),
                                [&](graph::Program& program, std::int64_t patch) {
                                    program.run_training(state, batch.place(m, patch, patches));
                                    program.total_losses(losses_.of_pass(m * patches + patch));
                                });
                if (!batch.shard_done) continue;
                graph::LossTotals shard = losses_.wait_for(m * patches, patches);
                shard.normaliser *= share_of(patches);
                batch.shard_done(m, shard);
            }
            device::PassLosses losses = losses_.of_first(batch.micro_steps * patches);
            losses.normaliser_share = share_of(patches);
            batch.update(losses);
        }
    }

  private:
    static std::uint64_t noise_seed(std::uint64_t seed) { return seed ^ stream_of("diffusion training"); }

    /// As published, patches' gradients add up; else their mean is taken, like that of samples.
    double share_of(std::int64_t patches) const {
        return sums_patches_ ? 1 / static_cast<double>(patches) : 1;
    }

    std::int64_t micro_steps_;
    bool sums_patches_;
    Recursion recursion_;
    LossLedger losses_;
    std::vector<std::int64_t> keys_;
};

/// Adds up the members of an ensemble: total + share * state, on the device.
graph::Graph member_graph(const TensorSpec& state, DType compute) {
    graph::GraphBuilder build(device::Mode::inference, compute);
    const graph::ValueId total = build.input("total", state);
    const graph::ValueId share = build.input("share", {state.dtype, Shape{1, 1, 1, 1}});
    const graph::ValueId own =
        build.append("weighted", ops::Multiply{}, {build.input("state", state), share});
    build.output("total", build.append("sum", ops::Add{}, {total, own}));
    return build.finish();
}

class DiffusionInference final : public Inference {
  public:
    DiffusionInference(const Design& design, const Machine& machine)
        : backend_(machine.backend),
          recursion_(design, machine, 1),
          ensemble_(design.task == nets::Task::predict ? design.model.diffusion.ensemble : 1) {
        const auto program = [&](std::optional<graph::Program>& place, graph::Graph graph) {
            place.emplace(graph::plan_program(std::move(graph), machine.backend), machine.backend,
                          machine.store, machine.collectives);
        };
        if (design.task == nets::Task::evaluate) program(score_, recursion_.graphs().score());
        if (ensemble_ > 1) program(member_, member_graph(recursion_.state(0).spec, design.compute));
    }

    TensorView input(const std::string& name) const override {
        return score_ && name == "labels" ? score_->input(name) : recursion_.input(name);
    }

    void run(std::uint64_t seed, std::span<const std::int64_t> keys) override {
        for (std::int64_t member = 0; member < ensemble_; ++member) {
            const std::uint64_t own =
                seed ^ stream_of("diffusion inference") ^ static_cast<std::uint64_t>(member) << 32;
            if (member == 0) {
                recursion_.take(0, own, keys);
            } else {
                recursion_.begin(0, own);
            }
            for (std::int64_t pass = 0; pass < recursion_.passes(); ++pass) {
                recursion_.pass(0, pass, own, [&](graph::Program& program, std::int64_t) {
                    program.run_forward({.seed = own});
                });
            }
            if (member_) add(member);
        }
        if (!score_) return;
        copy(score_->input("state"), recursion_.state(0));
        score_->run_forward({.seed = seed});
    }

    TensorView probabilities() const override {
        return member_ ? member_->output("total") : recursion_.state(0);
    }
    TensorView classes() const override { return score_->output("classes"); }
    graph::LossTotals losses() const override { return score_->losses(); }
    void parameters_changed() override { recursion_.parameters_changed(); }
    std::size_t bytes() const override {
        return recursion_.bytes() + (score_ ? score_->plan().bytes() : 0) +
               (member_ ? member_->plan().bytes() : 0);
    }

  private:
    void copy(const TensorView& to, const TensorView& from) {
        backend_.copy_on_device(to.data, from.data, from.bytes());
    }
    void add(std::int64_t member) {
        const TensorView total = member_->input("total"), share = member_->input("share");
        if (member == 0) {
            const std::vector<std::byte> zeros(total.bytes());
            backend_.copy_to_device(total.data, zeros.data(), zeros.size());
        } else {
            copy(total, member_->output("total"));
        }
        const float weight = 1.0f / static_cast<float>(ensemble_);
        backend_.copy_to_device(share.data, reinterpret_cast<const std::byte*>(&weight), sizeof(weight));
        copy(member_->input("state"), recursion_.state(0));
        member_->run_forward({});
    }

    device::Backend& backend_;
    Recursion recursion_;
    std::int64_t ensemble_;
    std::optional<graph::Program> score_, member_;
};

}  // namespace

std::unique_ptr<Training> make_diffusion_training(const Design& design, const Machine& machine) {
    return std::make_unique<DiffusionTraining>(design, machine);
}
std::unique_ptr<Inference> make_diffusion_inference(const Design& design, const Machine& machine) {
    return std::make_unique<DiffusionInference>(design, machine);
}

}  // namespace terrane::recipe
