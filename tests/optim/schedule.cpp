#include "optim/schedule.hpp"

#include "base/error.hpp"
#include "support/catch.hpp"

using namespace terrane;

namespace {

config::Optim settings(const std::string& schedule) {
    config::Optim optim;
    optim.lr = 0.1;
    optim.schedule = schedule;
    return optim;
}

optim::Schedule make(const config::Optim& optim, std::int64_t steps, std::int64_t steps_per_epoch = 1) {
    return {optim, optim.lr, {steps, steps_per_epoch}};
}

}  // namespace

TEST_CASE("schedules take the values computed by hand") {
    config::Optim cosine = settings("cosine");
    cosine.min_lr = 0.02;
    const optim::Schedule c = make(cosine, 100);
    CHECK(c.rate(0) == Approx(0.1));
    CHECK(c.rate(25) == Approx(0.02 + 0.08 * 0.8535533906));
    CHECK(c.rate(50) == Approx(0.06));
    CHECK(c.rate(100) == Approx(0.02));
    CHECK(c.rate(1000) == Approx(0.02));

    config::Optim poly = settings("poly");
    poly.power = 0.9;
    const optim::Schedule p = make(poly, 100);
    CHECK(p.rate(0) == Approx(0.1));
    CHECK(p.rate(50) == Approx(0.1 * 0.5358867313));
    CHECK(p.rate(100) == 0);

    config::Optim step = settings("step");
    step.milestones = {60, 30};
    step.gamma = 0.1;
    const optim::Schedule s = make(step, 100);
    CHECK(s.rate(29) == Approx(0.1));
    CHECK(s.rate(30) == Approx(0.01));
    CHECK(s.rate(59) == Approx(0.01));
    CHECK(s.rate(60) == Approx(0.001));

    CHECK(make(settings("constant"), 10).rate(7) == 0.1);
}

TEST_CASE("MMSegmentation's poly rate ends at its lowest rate") {
    // (base - min) * (1 - t / T)^0.9 + min with base 0.01, min 1e-4, T 40000
    config::Optim poly = settings("poly");
    poly.lr = 0.01;
    poly.min_lr = 1e-4;
    const optim::Schedule schedule = make(poly, 40000);
    CHECK(schedule.rate(0) == Approx(0.01).epsilon(1e-12));
    CHECK(schedule.rate(20000) == Approx(0.0099 * 0.5358867312681466 + 1e-4).epsilon(1e-12));
    CHECK(schedule.rate(40000) == Approx(1e-4).epsilon(1e-12));
}

TEST_CASE("CDSP's rate rises from zero and falls along a half cosine") {
    // max * t / w for t < w, then max * (1 + cos(pi * (t - w) / (T - w))) / 2 with w = 5, T = 50 epochs of 10
    config::Optim cosine = settings("cosine");
    cosine.lr = 1e-3;
    cosine.warmup_steps = 50;
    cosine.warmup_start = 0;
    const optim::Schedule schedule = make(cosine, 500, 10);
    CHECK(schedule.rate(0) == 0);
    CHECK(schedule.rate(20) == Approx(4e-4).epsilon(1e-12));
    CHECK(schedule.rate(50) == Approx(1e-3).epsilon(1e-12));
    CHECK(schedule.rate(200) == Approx(1e-3 * 0.75).epsilon(1e-12));  // a third of the way: (1 + cos 60°) / 2
    CHECK(schedule.rate(275) == Approx(5e-4).epsilon(1e-12));
}

TEST_CASE("PKDiff's rate starts at a tenth") {
    // base * (0.1 + 0.9 k / w) for k < w, else base * (1 + cos(pi * (k - w) / (K - w))) / 2
    config::Optim cosine = settings("cosine");
    cosine.lr = 1.5e-4;
    cosine.warmup_steps = 625;
    cosine.warmup_start = 0.1;
    const optim::Schedule schedule = make(cosine, 12500);
    CHECK(schedule.rate(0) == Approx(1.5e-5).epsilon(1e-12));
    CHECK(schedule.rate(312) == Approx(8.2392e-5).epsilon(1e-9));
    CHECK(schedule.rate(624) == Approx(1.49784e-4).epsilon(1e-9));
    CHECK(schedule.rate(625) == Approx(1.5e-4).epsilon(1e-12));
    CHECK(schedule.rate(3594) == Approx(1.280295e-4).epsilon(1e-6));
    CHECK(schedule.rate(6562) == Approx(7.500992e-5).epsilon(1e-6));
    CHECK(schedule.rate(9531) == Approx(2.19705e-5).epsilon(1e-5));
}

TEST_CASE("by default the warm-up is equal stairs that meet the schedule without a jump") {
    config::Optim cosine = settings("cosine");
    cosine.warmup_steps = 4;
    const optim::Schedule schedule = make(cosine, 104);
    CHECK(schedule.rate(0) == Approx(0.02));
    CHECK(schedule.rate(1) == Approx(0.04));
    CHECK(schedule.rate(3) == Approx(0.08));
    CHECK(schedule.rate(4) == Approx(0.1));
    CHECK(schedule.rate(54) == Approx(0.05));
}

TEST_CASE("a warm-up can be exponential or constant") {
    config::Optim optim = settings("constant");
    optim.warmup_steps = 4;
    optim.warmup_start = 0.0001;
    optim.warmup = "exponential";
    CHECK(make(optim, 10).rate(0) == Approx(0.1 * 1e-4));
    CHECK(make(optim, 10).rate(1) == Approx(0.1 * 1e-3));
    CHECK(make(optim, 10).rate(3) == Approx(0.1 * 1e-1));
    CHECK(make(optim, 10).rate(4) == 0.1);
    optim.warmup = "constant";
    CHECK(make(optim, 10).rate(0) == Approx(0.1 * 1e-4));
    CHECK(make(optim, 10).rate(3) == Approx(0.1 * 1e-4));
    CHECK(make(optim, 10).rate(4) == 0.1);
}

TEST_CASE("by epochs the rate holds still between them") {
    config::Optim cosine = settings("cosine");
    cosine.schedule_unit = "epoch";
    const optim::Schedule c = make(cosine, 100, 10);  // CosineAnnealingLR(T_max = 10)
    CHECK(c.rate(9) == Approx(0.1));
    CHECK(c.rate(10) == Approx(0.1 * 0.97552825815));
    CHECK(c.rate(19) == c.rate(10));
    CHECK(c.rate(55) == Approx(0.05));
    CHECK(c.rate(99) == Approx(0.1 * 0.02447174185));

    config::Optim step = settings("step");
    step.schedule_unit = "epoch";
    step.milestones = {10, 20};
    const optim::Schedule s = make(step, 300, 10);
    CHECK(s.rate(99) == Approx(0.1));
    CHECK(s.rate(100) == Approx(0.01));
    CHECK(s.rate(200) == Approx(0.001));

    cosine.warmup_steps = 5;  // ends within the first epoch, whose rest has the peak rate
    const optim::Schedule w = make(cosine, 105, 10);
    CHECK(w.rate(5) == Approx(0.1));
    CHECK(w.rate(9) == Approx(0.1));
    CHECK(w.rate(10) < 0.1);
}

TEST_CASE("a plateau schedule lowers the rate as often as it is told, down to the lowest") {
    config::Optim plateau = settings("plateau");
    plateau.plateau_factor = 0.5;
    plateau.min_lr = 0.02;
    const optim::Schedule schedule = make(plateau, 100);
    CHECK(schedule.rate(7, 0) == 0.1);
    CHECK(schedule.rate(7, 1) == Approx(0.05));
    CHECK(schedule.rate(7, 2) == Approx(0.025));
    CHECK(schedule.rate(7, 3) == 0.02);
}

TEST_CASE("the rate is scaled by ranks or by the batch if asked") {
    config::Optim optim = settings("constant");
    CHECK(optim::effective_rate(optim, 4, 32) == 0.1);
    optim.lr_scale = "linear_world";
    CHECK(optim::effective_rate(optim, 4, 32) == Approx(0.4));
    optim.lr_scale = "linear_batch";
    optim.lr_scale_batch = 8;
    CHECK(optim::effective_rate(optim, 4, 32) == Approx(0.4));
    optim.lr_scale = "linear";
    CHECK_THROWS_WITH(optim::effective_rate(optim, 4, 32), test::contains("\"linear\" is unknown"));
}

TEST_CASE("settings that can't work are refused") {
    CHECK_THROWS_WITH(make(settings("cosinus"), 10), test::contains("\"cosinus\" is unknown"));
    CHECK_THROWS_WITH(make(settings("step"), 10), test::contains("milestones"));
    config::Optim late = settings("poly");
    late.warmup_steps = 10;
    CHECK_THROWS_WITH(make(late, 10), test::contains("leaves nothing of the run's 10 steps"));
    config::Optim upside_down = settings("cosine");
    upside_down.min_lr = 1;
    CHECK_THROWS_AS(make(upside_down, 10), Error);
    config::Optim from_nothing = settings("cosine");
    from_nothing.warmup = "exponential";
    from_nothing.warmup_steps = 2;
    from_nothing.warmup_start = 0;
    CHECK_THROWS_WITH(make(from_nothing, 10), test::contains("can't start at 0"));
}
