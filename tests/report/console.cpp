#include "report/console.hpp"

#include "support/catch.hpp"

using namespace terrane::report;

namespace {

const Progress progress{13, 210, 400, 0.412, 5.1e-4, 0.83, 1254, 0.02, 31, 3 * 3600 + 12 * 60 + 8};

struct Terminal {
    double now = 0;
    std::string bytes;

    Console console(ProgressKind kind, bool colors = false) {
        return Console(
            kind, colors, [this] { return now; }, [this](const std::string& text) { bytes += text; });
    }
};

}  // namespace

TEST_CASE("the progress of a prediction names scene, windows, speed, waiting and the time left") {
    CHECK(format_progress(PredictionProgress{"naip", 5, 10, 1.25e6, 0.02, 31}) ==
          "naip [##########----------] 5/10 windows  1.25 Mpx/s  io-wait 2%  eta 0:31");
}

TEST_CASE("the progress line looks as documented", "[report]") {
    CHECK(
        format_progress(progress) ==
        "ep 13 [##########----------] 210/400  loss 0.412  lr 5.1e-04  grad 0.83  1254 tiles/s  io-wait 2%  "
        "eta 0:31 / 3:12:08");
    CHECK_THAT(format_progress(Progress{}), terrane::test::contains("[--------------------] 0/0"));
}

TEST_CASE("the epoch table is aligned with its heading", "[report]") {
    EpochRecord record;
    record.epoch = 12;
    record.step = 4800;
    record.train_loss = 0.441;
    record.val_loss = 0.502;
    record.scores = Scores{1, 0.901, 0.783, 0.879, 0.868, {}};
    record.tiles_per_second = 1238;
    record.io_wait = 0.02;
    record.memory_gib = 21.5;
    record.seconds = 323;
    record.note = "best, checkpoint";
    CHECK(epoch_heading() == "ep   step  loss(train/val)  OA    mIoU  mF1   kappa  tiles/s  io%  mem   time");
    CHECK(format_epoch(record) ==
          "12   4800  0.441 / 0.502    90.1  78.3  87.9  0.868  1238     2    21.5  5:23   best, checkpoint");
    record.scores.reset();
    record.val_loss.reset();
    record.note.clear();
    CHECK(format_epoch(record) ==
          "12   4800  0.441 / -        -     -     -     -      1238     2    21.5  5:23");
}

TEST_CASE("durations read like a clock", "[report]") {
    CHECK(format_duration(0) == "0:00");
    CHECK(format_duration(59.6) == "1:00");
    CHECK(format_duration(3661) == "1:01:01");
    CHECK(format_duration(-1) == "?");
}

TEST_CASE("a bar is drawn over itself, at most ten times a second, and removed before other lines",
          "[report]") {
    Terminal terminal;
    {
        Console console = terminal.console(ProgressKind::bar);
        console.progress(progress);
        terminal.now = 0.05;
        console.progress(progress);
        CHECK(terminal.bytes == "\r" + format_progress(progress) + "\033[K");
        terminal.bytes.clear();
        console.line("something");
        CHECK(terminal.bytes == "\r\033[K");
        terminal.bytes.clear();
    }
    CHECK(terminal.bytes.empty());
}

TEST_CASE("off a terminal there are no control characters, and none writes nothing", "[report]") {
    for (const ProgressKind kind : {ProgressKind::line, ProgressKind::none}) {
        Terminal terminal;
        Console console = terminal.console(kind);
        console.progress(progress);
        console.line("something");
        CHECK(terminal.bytes.empty());
    }
    CHECK(choose_progress("auto", false) == ProgressKind::line);
    CHECK(choose_progress("bar", false) == ProgressKind::line);
    CHECK(choose_progress("auto", true) == ProgressKind::bar);
    CHECK(choose_progress("none", true) == ProgressKind::none);
    CHECK(choose_progress("line", true) == ProgressKind::line);
}

TEST_CASE("colours appear only where they are allowed", "[report]") {
    Terminal terminal;
    Console console = terminal.console(ProgressKind::bar, true);
    console.progress(progress);
    CHECK_THAT(terminal.bytes, terrane::test::contains("[\033[32m##########\033[0m----------]"));
    ::setenv("NO_COLOR", "1", 1);
    CHECK_FALSE(colors_allowed());
    ::unsetenv("NO_COLOR");
}

TEST_CASE("the banner names run, ranks, threads and memory", "[report]") {
    Banner banner;
    banner.version = "0.3.0";
    banner.verb = "train";
    banner.run = "run=runs/potsdam/20260301-101500_482913";
    banner.nodes = 2;
    banner.ranks = 8;
    banner.message_layer = "Open MPI 4.1.4";
    banner.launcher = "srun";
    banner.threads = 3;
    banner.binding = "cores 0-2";
    banner.libraries = {"gdal 3.6.2"};
    banner.device = "cpu: AVX2, f32 (auto: no NVIDIA driver is loaded)";
    CHECK(format_banner(banner) ==
          "terrane 0.3.0  train  run=runs/potsdam/20260301-101500_482913\n"
          "mpi   2 nodes x 4 ranks (Open MPI 4.1.4, srun)   3 threads per rank, binding cores 0-2   gdal "
          "3.6.2\n"
          "dev   cpu: AVX2, f32 (auto: no NVIDIA driver is loaded)");
    CHECK(format_data({"tiles/potsdam", "c1f0aa", 2208, 384, 864, 512, 0.013, {{"irrg", 3}, {"dsm", 1}}}) ==
          "data  tiles/potsdam (c1f0…)  train 2208 / val 384 / test 864 tiles 512²  ignored 1.3 %  irrg[3] "
          "dsm[1]");
    CHECK(format_memory(31200000, 22978297651, 149250441216) ==
          "mem   params 31.2 M  planned peak 21.4 of 139 GiB per rank");
}
