#include "base/error.hpp"
#include "support/catch.hpp"
#include "train/model_description.hpp"
#include "train/run_state.hpp"
#include "training_fixture.hpp"

using namespace terrane;

TEST_CASE("a model's description survives its JSON") {
    test::SyntheticSource source(1, 16, 3);
    train::ModelDescription description{test::small_config().model, source.layout().modalities,
                                        test::small_config().classes, 96};
    const std::string json = description.to_json();
    const auto again = train::ModelDescription::from_json(json, "model.safetensors");
    CHECK(again.to_json() == json);
    CHECK(again.modalities[1].scale == 2);
    CHECK(again.modalities[0].bands == 3);
    CHECK(again.modalities[0].normalisation[0].mean == 100);
    CHECK(again.classes[2].name == "c");
    CHECK(again.crop == 96);
    for (const char* damaged : {"", "[]", "{}", R"({"format":2})", R"({"format":1,"model":{}})"}) {
        CHECK_THROWS_WITH(train::ModelDescription::from_json(damaged, "model.safetensors"),
                          test::contains("model.safetensors: the description"));
    }
}

TEST_CASE("a run's state survives its JSON, and damage is refused") {
    train::RunState state{4800, 0.71234567890123, 4200, {17, 0.1 + 0.2, 3, 2}, "[optim]\nlr = 0.1\n", "c1f0"};
    const train::RunState again = train::run_state_from_json(train::to_json(state), "state.json");
    CHECK(again.step == 4800);
    CHECK(again.best_score == state.best_score);
    CHECK(again.best_step == 4200);
    CHECK(again.plateau == state.plateau);
    CHECK(again.experiment == state.experiment);
    CHECK(again.tiles == "c1f0");
    for (const char* damaged : {"", "{}", "[1]", R"({"format":1,"step":"x"})"}) {
        CHECK_THROWS_WITH(train::run_state_from_json(damaged, "state.json"),
                          test::contains("state.json is damaged"));
    }
}

TEST_CASE(
    "a run may go on with other paths, schedules of saving and ranks, but not with another experiment") {
    const config::Config config = test::small_config();
    train::RunState stored;
    stored.experiment = train::experiment_text(config);
    train::RunState now = stored;

    config::Config harmless = config;
    harmless.train.batch = 2;
    harmless.eval.every = 7;
    harmless.checkpoint.every = 3;
    harmless.runtime.out = "elsewhere";
    harmless.runtime.threads = 8;
    harmless.train.resume = "auto";
    now.experiment = train::experiment_text(harmless);
    CHECK_NOTHROW(train::require_same_experiment(stored, now, "ckpt"));

    // Under a plateau schedule evaluations decide what is learned.
    train::RunState following = stored;
    harmless = config;
    harmless.optim.schedule = "plateau";
    following.experiment = train::experiment_text(harmless);
    harmless.eval.every = 7;
    now.experiment = train::experiment_text(harmless);
    CHECK_THROWS_WITH(train::require_same_experiment(following, now, "ckpt"), test::contains("every = 7"));

    config::Config other = config;
    other.optim.lr = 0.5;
    now.experiment = train::experiment_text(other);
    CHECK_THROWS_WITH(train::require_same_experiment(stored, now, "ckpt"),
                      test::contains("[optim] lr = 0.003") && test::contains("[optim] lr = 0.5"));
    other = config;
    other.runtime.seed = 12;
    now.experiment = train::experiment_text(other);
    CHECK_THROWS_WITH(train::require_same_experiment(stored, now, "ckpt"), test::contains("seed = 11"));

    now = stored;
    now.tiles = "other";
    CHECK_THROWS_WITH(train::require_same_experiment(stored, now, "ckpt"), test::contains("other tiles"));
}
