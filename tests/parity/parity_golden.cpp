// Compares a case with the numbers that PyTorch gave for it in float64 (tests/parity/golden), so that parity
// is watched where PyTorch is not installed:
//   parity_golden CASE.toml GOLDEN.json

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "parity_run.hpp"

namespace {

using namespace terrane;
using Json = nlohmann::json;

class Verdict {
  public:
    /// A value within `tolerance` of the expected one, relative to `scale`.
    void compare(const std::string& what, double ours, double theirs, double scale, double tolerance) {
        ++compared_;
        if (std::abs(ours - theirs) <= tolerance * scale) return;
        std::fprintf(stderr, "%s is %.9g, PyTorch gave %.9g (tolerance %.1e of %.3g)\n", what.c_str(), ours,
                     theirs, tolerance, scale);
        ++wrong_;
    }
    void compare(const std::string& what, double ours, double theirs, double tolerance) {
        compare(what, ours, theirs, std::abs(theirs), tolerance);
    }
    void compare_all(const std::string& what, const std::map<std::string, double>& ours, const Json& theirs,
                     double tolerance) {
        if (ours.size() != theirs.size()) {
            std::fprintf(stderr, "%zu values of %s, PyTorch gave %zu\n", ours.size(), what.c_str(),
                         theirs.size());
            ++wrong_;
        }
        for (const auto& [name, value] : ours) {
            compare(what + " " + name, value, theirs.at(name).get<double>(), tolerance);
        }
    }
    int result() const {
        std::printf("%d values compared, %d differ\n", compared_, wrong_);
        return wrong_ == 0 && compared_ > 0 ? 0 : 1;
    }

  private:
    int compared_ = 0, wrong_ = 0;
};

void add_squares(std::map<std::string, double>& sums, const std::string& name, const TensorView& view,
                 double factor) {
    double& sum = sums[parity::group_of(name)];
    for (const float value : view.span<float>()) sum += factor * value * factor * value;
}

std::map<std::string, double> roots(std::map<std::string, double> sums) {
    for (auto& [name, value] : sums) value = std::sqrt(value);
    return sums;
}

void compare_first_step(const parity::Run& run, const Json& golden, Verdict& verdict) {
    verdict.compare_all("loss", run.losses(), golden.at("losses"), 1e-4);
    for (const std::string& name : run.maps()) {
        const TensorView map = run.program().output(name);
        const Json& expected = golden.at("outputs").at(name);
        const double scale = expected.at("rms").get<double>();
        for (const Json& sample : expected.at("samples")) {
            const auto place = sample.at(0).get<std::size_t>();
            verdict.compare(fmt::format("{}[{}]", name, place), static_cast<double>(map.span<float>()[place]),
                            sample.at(1).get<double>(), scale, 2e-4);
        }
    }
    std::map<std::string, double> gradients, states;
    const graph::ParameterStore& store = run.store();
    for (const auto& entry : store.entries()) {
        if (entry.trainable == graph::Trainable::no) continue;
        add_squares(gradients, entry.name, store.gradient(entry), 1 / run.normaliser());
    }
    for (const auto& state : store.states()) {
        if (state.saved == graph::Saved::yes && state.spec.dtype == DType::f32)
            add_squares(states, state.name, state.view(), 1);
    }
    // A ReLU whose input is zero but for rounding may open on one machine and not on another: a percent of
    // leeway.
    verdict.compare_all("gradient norm of", roots(gradients), golden.at("gradient_norms"), 1e-2);
    verdict.compare_all("norm of the states of", roots(states), golden.at("state_norms"), 1e-4);
}

int check(const std::string& case_path, const std::string& golden_path) {
    std::ifstream file(golden_path);
    const Json golden = Json::parse(file);
    const parity::Case parity = parity::read_case(case_path);
    parity::Run run(parity, golden.at("seed").get<std::uint64_t>());
    Verdict verdict;
    const Json& curve = golden.at("curve");
    for (std::size_t step = 0; step < curve.size(); ++step) {
        run.fill_inputs(static_cast<std::int64_t>(step) % parity::Run::batches);
        run.forward_backward();
        if (step == 0) compare_first_step(run, golden, verdict);
        verdict.compare(fmt::format("loss of step {}", step), run.loss(), curve.at(step).get<double>(), 1e-3);
        run.update();
    }
    return verdict.result();
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: parity_golden CASE.toml GOLDEN.json\n");
        return 2;
    }
    try {
        return check(argv[1], argv[2]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
