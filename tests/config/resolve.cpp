#include "config/resolve.hpp"

#include <filesystem>

#include "base/file.hpp"
#include "config/nearest.hpp"
#include "config/print.hpp"
#include "config/registry.hpp"
#include "config_support.hpp"
#include "support/places.hpp"

namespace config = terrane::config;
using terrane::test::minimal;
using terrane::test::resolve_text;

TEST_CASE("defaults, files in order, named options and --set win in this order", "[config]") {
    const std::string first = minimal + "[train]\nepochs = 2\nglobal_batch = 2\nsteps = 2\nprefetch = 2\n";
    const std::string second = "[train]\nglobal_batch = 3\nsteps = 3\nprefetch = 3\n";
    const auto resolved =
        config::resolve({{"a.toml", "/a", first}, {"b.toml", "/b", second}},
                        {{"train.steps", "4", "--steps"}, {"train.prefetch", "4", "--prefetch"}},
                        {{"train.prefetch", "5", "--set"}});
    CHECK(resolved.config.train.batch == 0);
    CHECK(resolved.config.train.epochs == 2);
    CHECK(resolved.config.train.global_batch == 3);
    CHECK(resolved.config.train.steps == 4);
    CHECK(resolved.config.train.prefetch == 5);
    CHECK(resolved.source_of("train.batch") == "default");
    CHECK(resolved.source_of("train.epochs") == "a.toml:18");
    CHECK(resolved.source_of("train.global_batch") == "b.toml:2");
    CHECK(resolved.source_of("train.steps") == "--steps");
    CHECK(resolved.source_of("train.prefetch") == "--set");
    CHECK(resolved.config.folder == "/a");
}

TEST_CASE("raster paths start at the folder of their config file", "[config]") {
    const auto resolved =
        resolve_text(minimal, {{"modality.optical.files", "[\"x.tif\", \"HDF5:y.h5:band\"]", "--set"}});
    const auto& modalities = resolved.config.modalities;
    REQUIRE(modalities.size() == 2);
    CHECK(modalities[1].files == std::vector<std::string>{"/folder/a/*.tif", "/data/b.tif"});
    CHECK(modalities[0].files ==
          std::vector<std::string>{(std::filesystem::current_path() / "x.tif").string(), "HDF5:y.h5:band"});
}

TEST_CASE("--set takes TOML literals, and bare words as strings", "[config]") {
    const auto resolved = resolve_text(
        minimal, {{"data.tiles", "some/folder", "--set"},
                  {"grid.reference", "2020", "--set"},
                  {"modality.dsm.nodata", "-9999", "--set"},
                  {"modality[0].bands", "[3, 2, 1]", "--set"},
                  {"augment.flips", "false", "--set"},
                  {"optim.groups", "[{match=\"encoder\", lr_mult=0.1}]", "--set"},
                  {"loss.terms", "[{name=\"cross_entropy\"}, {name=\"dice\", weight=0.5}]", "--set"},
                  {"loss.terms.dice.weight", "2", "--set"},
                  {"label.remap", "{6 = 5, -1 = 0}", "--set"},
                  {"split.files", "{\"n.*\" = \"train\"}", "--set"}});
    const config::Config& values = resolved.config;
    CHECK(values.data.tiles == "some/folder");
    CHECK(values.grid.reference == "2020");
    CHECK(values.modalities[1].nodata == -9999.0);
    CHECK(values.modalities[0].bands == std::vector<std::int64_t>{3, 2, 1});
    CHECK_FALSE(values.augment.flips);
    REQUIRE(values.optim.groups.size() == 1);
    CHECK(values.optim.groups[0].lr_mult == 0.1);
    REQUIRE(values.loss.terms.size() == 2);
    CHECK(values.loss.terms[1].weight == 2);
    CHECK(values.label.remap == std::map<std::int64_t, std::int64_t>{{-1, 0}, {6, 5}});
    CHECK(values.split.files.at("n.*") == "train");
}

TEST_CASE("a printed configuration reads back as the same configuration", "[config]") {
    const auto resolved =
        resolve_text(minimal, {{"modality.dsm.nodata", "nan", "--set"},
                               {"modality.dsm.clip_low", "-0.1", "--set"},
                               {"modality.optical.scene", "'(.*)_\"quoted\"\\d+\u00e4'", "--set"},
                               {"optim.lr", "0.1000000000000000055511151231257827", "--set"},
                               {"optim.groups", "[{match=\"a\"}, {match=\"b\", decay_mult=0}]", "--set"},
                               {"split.region", "[{split=\"val\", bounds=[0,0,1,1e6]}]", "--set"},
                               {"split.files", "{'\\d+ x' = \"train\"}", "--set"},
                               {"loss.terms", "[]", "--set"},
                               {"runtime.seed", "7", "--seed"}});
    for (const auto comments : {config::SourceComments::off, config::SourceComments::on}) {
        const std::string printed = config::print_toml(resolved, comments);
        const auto again = config::resolve({{"printed.toml", "/elsewhere", printed}}, {}, {});
        CHECK(config::print_toml(again, config::SourceComments::off) ==
              config::print_toml(resolved, config::SourceComments::off));
        CHECK(config::identity_hash(again.config) == config::identity_hash(resolved.config));
        CHECK(again.config.modalities[0].scene == "(.*)_\"quoted\"\\d+\u00e4");
        CHECK(again.config.loss.terms.empty());
        CHECK(again.config.runtime.seed == 7);
    }
    CHECK_THAT(config::print_toml(resolved, config::SourceComments::on),
               terrane::test::contains("id = 0                                        # scene.toml:10"));
}

TEST_CASE("the identity of a configuration ignores where and how it runs, but not the seed", "[config]") {
    const auto base = resolve_text(minimal);
    const auto threads = resolve_text(minimal, {{"runtime.threads", "3", "--threads"}});
    const auto seed = resolve_text(minimal, {{"runtime.seed", "3", "--seed"}});
    CHECK(config::identity_hash(base.config) == config::identity_hash(threads.config));
    CHECK(config::identity_hash(base.config) != config::identity_hash(seed.config));
}

TEST_CASE("every key of the registry is found under its own name and documented", "[config]") {
    for (const std::string& key : config::all_keys()) {
        INFO(key);
        const config::Option* option = config::find_option(key);
        REQUIRE(option != nullptr);
        CHECK_FALSE(option->help.empty());
    }
    CHECK(config::find_option("train.nothing") == nullptr);
    CHECK(config::find_option("nothing.epochs") == nullptr);
}

TEST_CASE("defaults lie inside their own ranges", "[config]") {
    const auto defaults = config::resolve({}, {}, {});
    const std::string printed = config::print_toml(defaults, config::SourceComments::off);
    CHECK_NOTHROW(config::resolve({{"defaults.toml", "/", printed}}, {}, {}));
    CHECK_NOTHROW(config::check(defaults, config::Completeness::partial));
}

TEST_CASE("docs/config.md is what the registry generates", "[config]") {
    CHECK(terrane::read_text_file(terrane::test::source_folder() / "docs/config.md") == config::markdown_reference());
}

TEST_CASE("the schema names every key and forbids others", "[config]") {
    const std::string schema = config::json_schema();
    CHECK_THAT(schema,
               terrane::test::contains("\"global_batch\"") && terrane::test::contains("\"additionalProperties\": false"));
    CHECK_THAT(schema, !terrane::test::contains("\"dry_run\""));
}

TEST_CASE("the nearest name is found for typing mistakes and not for other words", "[config]") {
    const std::vector<std::string> names = {"train", "evaluate", "predict"};
    CHECK(config::nearest("trian", names) == "train");
    CHECK(config::nearest("evalute", names) == "evaluate");
    CHECK_FALSE(config::nearest("something", names).has_value());
    CHECK_FALSE(config::nearest(std::string(10000, 'x'), names).has_value());
}
