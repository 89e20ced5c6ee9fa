#include "base/file.hpp"
#include "base/philox.hpp"
#include "config_support.hpp"
#include "support/temporary_folder.hpp"

using terrane::test::config_error;
using terrane::test::minimal;

namespace {

std::string set_error(const std::string& key, const std::string& value) {
    return config_error(minimal, {{key, value, "--set"}});
}

}  // namespace

TEST_CASE("every mistake in a config file is named with file, line and remedy", "[config]") {
    struct Case {
        std::string text;
        std::string message;
    };
    const std::vector<Case> cases = {
        {"[grid]\ntyle = 3\n",
         "error[E0502]: scene.toml:2: unknown key \"grid.tyle\" in [grid]. Did you mean \"tile\"?"},
        {"[gird]\ntile = 64\n",
         "error[E0502]: scene.toml:1: unknown key \"gird\" in the top level. Did you mean \"grid\"?"},
        {"[train]\nmodality_dropout = 0.1\n",
         "error[E0502]: scene.toml:2: unknown key \"train.modality_dropout\" in [train]. "
         "Did you mean \"model.modality_dropout\"?"},
        {"[grid]\nzzzzzz = 1\n",
         "error[E0502]: scene.toml:2: unknown key \"grid.zzzzzz\" in [grid]. "
         "Known there: reference, crs, resolution, extent, tile, stride, scoring, min_valid."},
        {"[[modality]]\nname = 'a'\nfile = 'x'\n",
         "error[E0502]: scene.toml:3: unknown key \"modality.file\" in [modality]. Did you mean \"files\"?"},
        {"[grid]\ntile = \"big\"\n",
         "error[E0503]: scene.toml:2: grid.tile must be an integer, but is a string. "
         "It means: edge of a stored tile."},
        {"[grid]\ntile = 64.0\n",
         "error[E0503]: scene.toml:2: grid.tile must be an integer, but is a float. "
         "It means: edge of a stored tile."},
        {"[split]\nfractions = [\"a\", 0.5, 0.5]\n",
         "error[E0503]: scene.toml:2: split.fractions[0] must be an array of numbers, but is a string. "
         "It means: blocks: shares of train, val and test."},
        {"grid = 3\n", "error[E0503]: scene.toml:1: grid must be a table [grid], but is an integer."},
        {"modality = 3\n",
         "error[E0503]: scene.toml:1: modality must be an array of tables [[modality]], but is an integer."},
        {"[modality]\nname = 'a'\n",
         "error[E0503]: scene.toml:1: modality must be an array of tables [[modality]], but is a table."},
        {"[label]\nremap = {x = 1}\n",
         "error[E0503]: scene.toml:2: the key \"x\" in label.remap must be an integer. "
         "It means: raster value = class id, applied before anything else: {6 = 5}."},
        {"[grid]\ntile = 8\n",
         "error[E0505]: scene.toml:2: grid.tile = 8 is out of range: it must be at least 16 and at most 8192 "
         "pixels. It means: edge of a stored tile."},
        {"[runtime]\ngpu_ids = [0, -1]\n",
         "error[E0505]: scene.toml:2: runtime.gpu_ids[1] = -1 is out of range: it must be at least 0 and at "
         "most "
         "1023. It means: the GPUs that the ranks of a host take, in the order of their local ranks, counted "
         "among "
         "the visible ones; empty: all of them."},
        {"[runtime]\ngpu_ids = [1, 0, 1]\n",
         "error[E0508]: scene.toml:2: runtime.gpu_ids has 1 twice. Name each once."},
        {"[optim]\nlr = 0\n",
         "error[E0505]: scene.toml:2: optim.lr = 0 is out of range: it must be above 0. It means: peak "
         "learning rate."},
        {"[optim]\nlr = nan\n",
         "error[E0505]: scene.toml:2: optim.lr = nan is out of range: it must be above 0. "
         "It means: peak learning rate."},
        {"format = 2\n",
         "error[E0505]: scene.toml:1: format = 2 is out of range: it must be at least 1 and at most 1. "
         "It means: version of this file format."},
        {"[[class]]\nid = 255\nname = 'x'\n",
         "error[E0505]: scene.toml:2: class[0].id = 255 is out of range: it must be at least 0 and at most "
         "254. "
         "It means: value in label rasters and in predicted maps."},
        {"[[class]]\nid = 1\nname = 'x'\ncolor = [1, 2]\n",
         "error[E0505]: scene.toml:4: class[0].color must have 3 values, but has 2. "
         "It means: [red, green, blue]."},
        {"[model]\nnorm = \"bacth\"\n",
         "error[E0506]: scene.toml:2: model.norm = \"bacth\" is not one of auto, batch, sync_batch, group. "
         "Did you mean \"batch\"?"},
        {"[[modality]]\nfiles = 'x'\n",
         "error[E0507]: scene.toml:1: entry 1 of [[modality]] has no name. Add it; it means: short unique "
         "name."},
        {"[runtime]\nout = 'x'\n",
         "error[E0502]: scene.toml:2: runtime.out can't be set in a file. Give it on the command line."},
    };
    for (const Case& one : cases) {
        INFO(one.text);
        CHECK(config_error(one.text) == one.message);
    }
}

TEST_CASE("text that is no TOML is an error with file and line", "[config]") {
    CHECK_THAT(config_error("[grid]\ntile = \n"),
               terrane::test::contains("error[E0501]: scene.toml:2: not valid TOML"));
    CHECK_THAT(config_error("a = 1\na = 2\n"), terrane::test::contains("error[E0501]: scene.toml:2"));
    CHECK_THAT(config_error(std::string("a = \"\xff\xfe\"\n")), terrane::test::contains("error[E0501]"));
    CHECK_THAT(config_error("a = " + std::string(100000, '[')), terrane::test::contains("error[E0501]"));
}

TEST_CASE("values that contradict each other are errors", "[config]") {
    CHECK(config_error(minimal) == "");
    CHECK(config_error(minimal + "[grid]\ntile = 128\nstride = 200\n") ==
          "error[E0509]: scene.toml:19: grid.stride = 200 is larger than grid.tile = 128: the pixels between "
          "tiles "
          "would be lost. Set grid.stride to at most 128.");
    CHECK(set_error("class[1].id", "0") ==
          "error[E0508]: scene.toml:13: two entries of [[class]] have the id \"0\". Give each its own id.");
    CHECK(set_error("modality.dsm.name", "optical") ==
          "error[E0508]: scene.toml:6: two entries of [[modality]] have the name \"optical\". Give each its "
          "own name.");
    CHECK(set_error("runtime.gpu_ids", "[0, 'x']") ==
          "error[E0503]: --set: runtime.gpu_ids[1] must be an array of integers, but is a string. It means: "
          "the GPUs "
          "that the ranks of a host take, in the order of their local ranks, counted among the visible ones; "
          "empty: "
          "all of them.");
    CHECK(set_error("split.fractions", "[0.5, 0.1, 0.1]") ==
          "error[E0509]: --set: split.fractions = [0.5, 0.1, 0.1] sum to 0.7, not 1. "
          "Give the shares of train, val and test of the whole.");
    CHECK(set_error("grid.reference", "optcal") ==
          "error[E0509]: --set: grid.reference names \"optcal\", which is no [[modality]]. Did you mean "
          "\"optical\"?");
    CHECK_THAT(
        set_error("modality.dsm.scale", "3"),
        terrane::test::contains(
            "error[E0509]: --set: grid.tile = 256 is not a multiple of scale = 3 of the modality dsm."));
    CHECK_THAT(set_error("modality.dsm.name", "../x"), terrane::test::contains("error[E0509]"));
    CHECK_THAT(set_error("modality.dsm.scene", "'(a'"),
               terrane::test::contains("is not a regular expression"));
    CHECK_THAT(set_error("modality.dsm.files", "[]"),
               terrane::test::contains("error[E0507]: scene.toml:6: the modality dsm has no files."));
    CHECK_THAT(set_error("label.ignore", "[1]"),
               terrane::test::contains("label.ignore contains 1, which is the id of class building."));
    CHECK_THAT(set_error("label.remap", "{9 = 7}"),
               terrane::test::contains("label.remap sends 9 to 7, which is no [[class]] id"));
    CHECK_THAT(set_error("augment.zoom", "[2, 1]"), terrane::test::contains("low end above its high end"));
    CHECK_THAT(set_error("augment.crop", "512"),
               terrane::test::contains("augment.crop = 512 is larger than grid.tile = 256."));
    CHECK_THAT(set_error("model.output_stride", "12"), terrane::test::contains("neither 8 nor 16"));
    CHECK_THAT(set_error("loss.terms", "[]"), terrane::test::contains("error[E0507]"));
    CHECK_THAT(set_error("split.method", "files"),
               terrane::test::contains("error[E0507]: --set: split.method = \"files\" needs split.files."));
    CHECK_THAT(set_error("split.method", "regions"), terrane::test::contains("needs [[split.region]]"));
    CHECK_THAT(set_error("split.method", "polygons"), terrane::test::contains("needs split.polygons"));
    CHECK_THAT(set_error("split.region", "[{split=\"val\", bounds=[0,0,0,1]}]"),
               terrane::test::contains("must be [west, south, east, north]"));
    CHECK_THAT(set_error("train.batch", "9"),
               terrane::test::contains("train.batch = 9 of one rank is larger than train.global_batch = 8."));
    CHECK_THAT(set_error("optim.min_lr", "1"), terrane::test::contains("above optim.lr"));
    CHECK_THAT(set_error("optim.milestones", "[5, 3]"), terrane::test::contains("ascending"));
    CHECK_THAT(set_error("optim.schedule", "step"), terrane::test::contains("needs optim.milestones"));
    CHECK_THAT(set_error("optim.groups", "[{match=\"(\"}]"),
               terrane::test::contains("is not a regular expression"));
    CHECK_THAT(config_error(""),
               terrane::test::contains("error[E0507]: the configuration has no [[modality]]."));
    CHECK_THAT(config_error("[[modality]]\nname='a'\nfiles='b'\n"),
               terrane::test::contains("0 [[class]] entries"));
}

TEST_CASE("a mistyped --set names the key it was meant for", "[config]") {
    CHECK(set_error("train.epoch", "3") ==
          "error[E0502]: --set: unknown key \"train.epoch\" in [train]. Did you mean \"epochs\"?");
    CHECK(set_error("modality.dsn.files", "x.tif") ==
          "error[E0502]: --set: \"modality.dsn.files\" addresses no value: [[modality]] has 2 entries: "
          "optical, dsm. "
          "Write modality[0].KEY=VALUE or modality.NAME.KEY=VALUE.");
    CHECK_THAT(set_error("modality[2].files", "x.tif"), terrane::test::contains("addresses no value"));
    CHECK_THAT(set_error("modality[x].files", "x.tif"), terrane::test::contains("addresses no value"));
    CHECK_THAT(set_error("modality.dsm", "x.tif"), terrane::test::contains("addresses no value"));
    CHECK_THAT(set_error("grid", "1"), terrane::test::contains("is a table, not a value"));
    CHECK_THAT(set_error("", "1"), terrane::test::contains("error[E0502]"));
    CHECK_THAT(set_error("grid.", "1"), terrane::test::contains("error[E0502]"));
    CHECK_THAT(set_error("grid.tile", "[1"),
               terrane::test::contains("error[E0501]: --set: [1 is not a valid TOML value"));
    CHECK_THAT(set_error("grid.tile", "64\nx = 3"), terrane::test::contains("error[E0503]"));
}

TEST_CASE("config files are limited in size and must exist", "[config]") {
    terrane::test::TemporaryFolder folder;
    const auto large = folder.path() / "large.toml";
    terrane::write_file_atomically(large, std::string((1 << 20) + 1, '#'));
    try {
        terrane::config::read_config_files({"/nonexistent.toml"});
        FAIL("no error");
    } catch (const terrane::Error& error) {
        CHECK(error.exit_code() == terrane::ExitCode::input_missing);
    }
    try {
        terrane::config::read_config_files({large.string()});
        FAIL("no error");
    } catch (const terrane::Error& error) {
        CHECK(error.number() == 902);
    }
}

TEST_CASE("spoiled bytes of a config file give an error or a configuration, never anything else",
          "[config]") {
    const std::string whole =
        minimal + "[optim]\ngroups = [{match = 'a.*', lr_mult = 0.1}]\n[label]\nremap = {6 = 1}\n";
    int failed = 0;
    for (std::uint64_t round = 0; round < 3000; ++round) {
        terrane::PhiloxStream random(1, round);
        std::string text = whole;
        for (std::uint32_t change = 0; change <= random.below(4); ++change) {
            const std::size_t at = random.below(static_cast<std::uint32_t>(text.size()));
            switch (random.below(3)) {
                case 0:
                    text[at] = static_cast<char>(random.below(256));
                    break;
                case 1:
                    text.erase(at, random.below(20));
                    break;
                default:
                    text.insert(at, text.substr(random.below(static_cast<std::uint32_t>(text.size())), 15));
                    break;
            }
        }
        try {
            terrane::config::check(terrane::test::resolve_text(text), terrane::config::Completeness::whole);
        } catch (const terrane::Error& error) {
            ++failed;
            REQUIRE(error.exit_code() == terrane::ExitCode::config_invalid);
        }
    }
    CHECK(failed > 1000);
}

TEST_CASE("terms of weak supervision that do not fit are named", "[config]") {
    const auto with = [](const std::string& more) { return config_error(minimal + more); };
    CHECK(with("[[loss.terms]]\nname = 'cross_entropy'\ntarget = 'scribble'\n"
               "[[loss.terms]]\nname = 'cross_entropy'\ntarget = 'pseudo'\n")
              .empty());
    CHECK(with("[[loss.terms]]\nname = 'cross_entropy'\n[[loss.terms]]\nname = 'cross_entropy'\n") ==
          "error[E0508]: scene.toml:19: two entries of [[loss.terms]] have the name and target "
          "\"cross_entropy\". "
          "Give each its own name and target.");
    CHECK(with("[[loss.terms]]\nname = 'distance_entropy'\n").find("labels have no distance map") !=
          std::string::npos);
    CHECK(with("[[loss.terms]]\nname = 'rectification'\n").find("res50_aspp_lorm") != std::string::npos);
    CHECK(with("[model]\nname = 'res50_aspp_lorm'\n[[loss.terms]]\nname = 'rectification'\n").empty());
    CHECK(with("[model]\nname = 'pkdiff'\n[[loss.terms]]\nname = 'dice'\ntarget = 'pseudo'\n")
              .find("pkdiff learns from labels only") != std::string::npos);
    CHECK(with("[loss]\nnormalise = 'all'\n[[loss.terms]]\nname = 'dice'\ntarget = 'pseudo'\n"
               "[[loss.terms]]\nname = 'dice'\n")
              .find("loss.normalise") != std::string::npos);
    CHECK(with("[[class]]\nid = 2\nname = 'x'\nbackground = true\n[[class]]\nid = 3\nname = 'y'\n"
               "background = true\n")
              .find("2 classes have background = true") != std::string::npos);
    CHECK(with("[[modality]]\nname = 'scribble'\nfiles = 'a.tif'\n").find("a map of weak supervision") !=
          std::string::npos);
    CHECK(with("[pseudo]\nscene = '('\n").find("pseudo.scene") != std::string::npos);
    CHECK(with("[scribble]\nlambda = 0\n").find("scribble.lambda") != std::string::npos);
}
