#include "report/metrics.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "report/confusion_picture.hpp"
#include "report/scores_output.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane::report;

namespace {

// truth \ prediction, computed by hand below.
ConfusionMatrix example() {
    ConfusionMatrix matrix(3);
    matrix.add(0, 0, 50);
    matrix.add(0, 1, 10);
    matrix.add(1, 0, 5);
    matrix.add(1, 1, 30);
    matrix.add(1, 2, 5);
    return matrix;
}

ScoreContext context() {
    return {"test",
            "all pixels",
            "ckpt/best",
            12,
            {{"ground", {1, 2, 3}}, {"roof, red", {255, 0, 0}}, {"car", {0, 0, 9}}}};
}

}  // namespace

TEST_CASE("scores equal those computed by hand", "[report]") {
    const Scores scores = score(example());
    CHECK(scores.pixels == 100);
    CHECK(scores.oa == Approx(0.80));
    // class 0: TP 50, FP 5, FN 10; class 1: TP 30, FP 10, FN 10; class 2: TP 0, FP 5, FN 0
    CHECK(*scores.classes[0].iou == Approx(50.0 / 65));
    CHECK(*scores.classes[0].precision == Approx(50.0 / 55));
    CHECK(*scores.classes[0].recall == Approx(50.0 / 60));
    CHECK(*scores.classes[0].f1 == Approx(100.0 / 115));
    CHECK(*scores.classes[1].iou == Approx(30.0 / 50));
    CHECK(*scores.classes[2].iou == 0.0);
    CHECK(*scores.classes[2].precision == 0.0);
    CHECK_FALSE(scores.classes[2].recall.has_value());
    CHECK(scores.miou == Approx((50.0 / 65 + 0.6 + 0) / 3));
    CHECK(scores.mf1 == Approx((100.0 / 115 + 60.0 / 80 + 0) / 3));
    const double chance = 0.60 * 0.55 + 0.40 * 0.40 + 0;
    CHECK(scores.kappa == Approx((0.80 - chance) / (1 - chance)));
    CHECK(scores.by_name("miou") == scores.miou);
    CHECK_THROWS_AS(scores.by_name("accuracy"), terrane::Error);
}

TEST_CASE("scores of a published confusion matrix are the published ones", "[report]") {
    // FTransUNet on ISPRS Vaihingen, eroded labels: impervious, building, low vegetation, tree, car, clutter.
    const std::int64_t counts[6][6] = {
        {4435612, 129571, 161963, 61376, 14879, 964}, {128896, 5253500, 32754, 7304, 163, 330},
        {191932, 57732, 2312450, 340087, 492, 17},    {38354, 8263, 343871, 4002130, 142, 0},
        {16925, 4218, 493, 619, 126388, 34},          {31, 930, 5255, 0, 0, 0}};
    ConfusionMatrix matrix(6);
    for (std::int64_t truth = 0; truth < 6; ++truth) {
        for (std::int64_t found = 0; found < 6; ++found) matrix.add(truth, found, counts[truth][found]);
    }
    const Scores scores = score(matrix);
    CHECK(scores.pixels == 17'677'675);
    CHECK(scores.oa == Approx(.912455).margin(5e-7));
    CHECK(scores.kappa == Approx(.882135).margin(5e-7));
    const double f1[6] = {.9225, .9660, .8030, .9091, .8694, 0};
    const double iou[6] = {.856213, .934178, .670850, .833404, .769003, 0};
    double f1_of_five = 0, iou_of_five = 0;
    for (std::size_t c = 0; c < 6; ++c) {
        CHECK(*scores.classes[c].f1 == Approx(f1[c]).margin(5e-5));
        CHECK(*scores.classes[c].iou == Approx(iou[c]).margin(5e-7));
        if (c == 5) continue;
        f1_of_five += *scores.classes[c].f1 / 5;
        iou_of_five += *scores.classes[c].iou / 5;
    }
    CHECK(f1_of_five == Approx(.894013).margin(5e-7));
    CHECK(iou_of_five == Approx(.812730).margin(5e-7));
    CHECK(scores.miou == Approx(.677275).margin(5e-7));  // clutter is in the truth, so it counts
}

TEST_CASE("a class absent from truth and prediction has no scores and is left out of the means", "[report]") {
    ConfusionMatrix matrix(3);
    matrix.add(0, 0, 6);
    matrix.add(0, 2, 2);
    matrix.add(2, 2, 2);
    const Scores scores = score(matrix);
    CHECK(scores.classes[1].absent());
    CHECK_FALSE(scores.classes[1].iou.has_value());
    CHECK_FALSE(scores.classes[1].f1.has_value());
    CHECK(scores.miou == Approx((6.0 / 8 + 2.0 / 4) / 2));
    CHECK(scores.mf1 == Approx((12.0 / 14 + 4.0 / 6) / 2));
    const std::string table = score_table(scores, context());
    CHECK_THAT(table, terrane::test::contains("roof, red  absent from truth and prediction"));
    CHECK_THAT(table, terrane::test::contains("means leave out: roof, red") &&
                          terrane::test::contains("protocol: all pixels"));
    CHECK_THAT(table, !terrane::test::contains("nan"));
}

TEST_CASE("kappa is 0 where chance alone explains everything, and nothing scored is an error", "[report]") {
    ConfusionMatrix one(2);
    one.add(0, 0, 7);
    CHECK(score(one).kappa == 0);
    CHECK(score(one).miou == 1);
    try {
        score(ConfusionMatrix(2));
        FAIL("no error");
    } catch (const terrane::Error& error) {
        CHECK(error.number() == 320);
        CHECK(error.exit_code() == terrane::ExitCode::data_invalid);
    }
}

TEST_CASE("written scores hold the counts, the protocol and null where there is no value", "[report]") {
    terrane::test::TemporaryFolder folder;
    const auto target = folder.path() / "a" / "b";
    write_scores(target, example(), context());
    const auto json = nlohmann::json::parse(terrane::read_text_file(target / "metrics.json"));
    CHECK(json["protocol"] == "all pixels");
    CHECK(json["confusion"][1] == std::vector<int>{5, 30, 5});
    CHECK(json["classes"][2]["recall"].is_null());
    CHECK(json["classes"][2]["iou"] == 0.0);
    CHECK(json["absent"].empty());
    CHECK(json["miou"].get<double>() == score(example()).miou);
    CHECK(terrane::read_text_file(target / "confusion.csv") ==
          "truth \\ prediction,ground,\"roof, red\",car\nground,50,10,0\n\"roof, red\",5,30,5\ncar,0,0,0\n");
    CHECK(std::filesystem::file_size(target / "confusion.png") > 500);
}

TEST_CASE("the confusion picture is dark where a class is right and grey where it has no truth", "[report]") {
    const Canvas canvas = draw_confusion(example(), context());
    const auto near_corner = [&](int row, int column) {
        const std::int64_t x = 16 + Canvas::text_width("roof, red", 2) + 32 + column * 64 + 3;
        const std::int64_t y = canvas.height() - 16 - 3 * 64 + row * 64 + 3;
        return canvas.at(x, y);
    };
    CHECK(near_corner(0, 0)[0] < 60);
    CHECK(near_corner(0, 2)[0] > 240);
    CHECK(near_corner(0, 1)[0] > near_corner(0, 0)[0]);
    CHECK(near_corner(2, 0) == Color{225, 225, 225});
}
