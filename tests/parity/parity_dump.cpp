// Runs a case and writes everything that a twin needs to repeat it, and everything that is compared:
//   parity_dump CASE.toml SEED FILE
// The file is safetensors: weights and states before the first step "before:", the inputs of both batches
// "input0:" and "input1:", outputs of the first step "output:", its losses "loss:<node>" and "loss", its
// gradients "gradient:" (of the mean), the states after it "after:", the losses of all steps "curve" and
// their learning rates "rates"; metadata "config" is the effective configuration as TOML.

#include <cstdio>
#include <deque>

#include "config/print.hpp"
#include "parity_run.hpp"
#include "weights/safetensors.hpp"

namespace {

using namespace terrane;

class Dump {
  public:
    void copy(const std::string& name, const TensorView& view, double scale = 1) {
        auto& bytes = copies_.emplace_back(view.data, view.data + view.bytes());
        const TensorView own{bytes.data(), view.spec};
        if (view.dtype() == DType::f32 && scale != 1) {
            for (float& value : own.span<float>()) value = static_cast<float>(value * scale);
        }
        writer_.add(name, own);
    }
    void values(const std::string& name, std::vector<double> list) {
        const Shape shape{static_cast<std::int64_t>(list.size())};
        copy(name, {reinterpret_cast<std::byte*>(list.data()), {DType::f64, shape}});
    }
    void states(const std::string& prefix, const graph::ParameterStore& store) {
        for (const auto& state : store.states()) {
            if (state.saved == graph::Saved::yes) copy(prefix + state.name, state.view());
        }
    }
    void write(const config::Config& config, const std::string& path) {
        config::Resolved effective;
        effective.config = config;
        writer_.add_metadata("config", config::print_toml(effective, config::SourceComments::off));
        writer_.write(path);
    }

  private:
    std::deque<std::vector<std::byte>> copies_;
    weights::SafetensorsWriter writer_;
};

void dump_case(const parity::Case& parity, std::uint64_t seed, const std::string& path) {
    parity::Run run(parity, seed);
    const graph::ParameterStore& store = run.store();
    Dump dump;
    for (const auto& entry : store.entries()) dump.copy("before:" + entry.name, store.parameter(entry));
    dump.states("before:", store);
    for (std::int64_t batch = parity::Run::batches; batch-- > 0;) {
        run.fill_inputs(batch);
        for (const std::string& name : run.inputs()) {
            dump.copy(fmt::format("input{}:{}", batch, name), run.program().input(name));
        }
    }

    std::vector<double> curve, rates;
    for (std::int64_t step = 0; step < parity.config.train.steps; ++step) {
        run.fill_inputs(step % parity::Run::batches);
        run.forward_backward();
        curve.push_back(run.loss());
        if (step == 0) {
            dump.values("loss", {run.loss()});
            for (const auto& [name, value] : run.losses()) dump.values("loss:" + name, {value});
            for (const std::string& name : run.maps())
                dump.copy("output:" + name, run.program().output(name));
            for (const auto& entry : store.entries()) {
                if (entry.trainable == graph::Trainable::no) continue;
                dump.copy("gradient:" + entry.name, store.gradient(entry), 1 / run.normaliser());
            }
            dump.states("after:", store);
        }
        rates.push_back(run.update());
    }
    dump.values("curve", curve);
    dump.values("rates", rates);
    dump.write(parity.config, path);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: parity_dump CASE.toml SEED FILE\n");
        return 2;
    }
    try {
        dump_case(parity::read_case(argv[1]), std::stoull(argv[2]), argv[3]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
