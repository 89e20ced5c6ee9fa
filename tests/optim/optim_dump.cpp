// Prints what schedules and optimizers do, for optim_as_pytorch.py: lines "case step values...".
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>

#include "cpu/backend.hpp"
#include "optim/optimizer.hpp"
#include "optim/plateau.hpp"
#include "optim/schedule.hpp"
#include "support/one_update.hpp"

using namespace terrane;

namespace {

constexpr std::int64_t steps = 60;
constexpr std::int64_t steps_per_epoch = 6;

config::Optim with(const std::function<void(config::Optim&)>& change) {
    config::Optim optim;
    optim.lr = 0.1;
    change(optim);
    return optim;
}

void print_schedule(const std::string& name, const config::Optim& optim) {
    const optim::Schedule schedule(optim, optim.lr, {steps, steps_per_epoch});
    optim::PlateauState plateau;
    for (std::int64_t step = 0; step < steps; ++step) {
        fmt::print("{} {} {:.17g}\n", name, step, schedule.rate(step, plateau.reductions));
        // A made-up score after each step: it rises, then stalls, then rises a little.
        const double score = step < 10 ? 0.05 * static_cast<double>(step) : step < 40 ? 0.45 : 0.47;
        optim::observe(plateau, optim, score, 0);
    }
}

void print_updates(const std::string& name, const config::Optim& optim) {
    const auto backend = cpu::make_cpu_backend();
    std::vector<float> w{1, -2, 0.5f, 3}, g(4);
    optim::Optimizer optimizer(optim, {{0, 4, 1, 1}}, 4, *backend);
    for (std::int64_t step = 0; step < 10; ++step) {
        for (std::size_t i = 0; i < g.size(); ++i) {
            g[i] = static_cast<float>(std::sin(static_cast<double>(step) + static_cast<double>(i)));
        }
        test::update(optimizer, w, g, 1, optim.lr);
        fmt::print("{} {} {:.9g} {:.9g} {:.9g} {:.9g}\n", name, step, w[0], w[1], w[2], w[3]);
    }
}

}  // namespace

int main() {
    print_schedule("cosine", with([](auto& o) { o.min_lr = 0.01; }));
    print_schedule("cosine_by_epoch", with([](auto& o) { o.schedule_unit = "epoch"; }));
    print_schedule("poly", with([](auto& o) {
                       o.schedule = "poly";
                       o.power = 0.9;
                   }));
    print_schedule("step_by_epoch", with([](auto& o) {
                       o.schedule = "step";
                       o.schedule_unit = "epoch";
                       o.milestones = {3, 6, 9};
                   }));
    print_schedule("linear_warmup", with([](auto& o) {
                       o.schedule = "constant";
                       o.warmup_steps = 12;
                       o.warmup_start = 0.1;
                   }));
    print_schedule("constant_warmup", with([](auto& o) {
                       o.schedule = "constant";
                       o.warmup_steps = 12;
                       o.warmup = "constant";
                       o.warmup_start = 0.25;
                   }));
    print_schedule("plateau", with([](auto& o) {
                       o.schedule = "plateau";
                       o.plateau_patience = 4;
                       o.plateau_factor = 0.5;
                       o.plateau_threshold = 0.01;
                       o.min_lr = 0.002;
                   }));
    for (const char* name : {"sgd", "adam", "adamw"}) {
        print_updates(name, with([&](auto& o) {
                          o.name = name;
                          o.weight_decay = 0.05;
                      }));
    }
}
