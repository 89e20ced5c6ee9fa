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

}  // namespace

TEST_CASE("schedules take the values computed by hand") {
    config::Optim cosine = settings("cosine");
    cosine.min_lr = 0.02;
    const optim::Schedule c(cosine, 100);
    CHECK(c.rate(0) == Approx(0.1));
    CHECK(c.rate(25) == Approx(0.02 + 0.08 * 0.8535533906));
    CHECK(c.rate(50) == Approx(0.06));
    CHECK(c.rate(100) == Approx(0.02));
    CHECK(c.rate(1000) == Approx(0.02));

    config::Optim poly = settings("poly");
    poly.power = 0.9;
    const optim::Schedule p(poly, 100);
    CHECK(p.rate(0) == Approx(0.1));
    CHECK(p.rate(50) == Approx(0.1 * 0.5358867313));
    CHECK(p.rate(100) == 0);

    config::Optim step = settings("step");
    step.milestones = {60, 30};
    step.gamma = 0.1;
    const optim::Schedule s(step, 100);
    CHECK(s.rate(29) == Approx(0.1));
    CHECK(s.rate(30) == Approx(0.01));
    CHECK(s.rate(59) == Approx(0.01));
    CHECK(s.rate(60) == Approx(0.001));

    CHECK(optim::Schedule(settings("constant"), 10).rate(7) == 0.1);
}

TEST_CASE("the warm-up rises linearly from zero and meets the schedule without a jump") {
    config::Optim cosine = settings("cosine");
    cosine.warmup_steps = 4;
    const optim::Schedule schedule(cosine, 104);
    CHECK(schedule.rate(0) == Approx(0.02));
    CHECK(schedule.rate(1) == Approx(0.04));
    CHECK(schedule.rate(3) == Approx(0.08));
    CHECK(schedule.rate(4) == Approx(0.1));
    CHECK(schedule.rate(54) == Approx(0.05));
}

TEST_CASE("settings that can't work are refused") {
    CHECK_THROWS_WITH(optim::Schedule(settings("cosinus"), 10), test::contains("\"cosinus\" is unknown"));
    CHECK_THROWS_WITH(optim::Schedule(settings("step"), 10), test::contains("milestones"));
    config::Optim late = settings("poly");
    late.warmup_steps = 10;
    CHECK_THROWS_WITH(optim::Schedule(late, 10), test::contains("leaves nothing of the run's 10 steps"));
    config::Optim upside_down = settings("cosine");
    upside_down.min_lr = 1;
    CHECK_THROWS_AS(optim::Schedule(upside_down, 10), Error);
}
