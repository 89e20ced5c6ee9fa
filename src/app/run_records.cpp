#include "app/run_records.hpp"

#include <algorithm>

#include "app/score_context.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "raster/writer.hpp"
#include "report/confusion_picture.hpp"
#include "tiles/tile_picture.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t longest_edge = 256;  ///< of a tile in a picture: they are many, and kept
constexpr std::int64_t gap = 4;

void create_folder(const fs::path& folder) {
    std::error_code failure;
    fs::create_directories(folder, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 901,
                    fmt::format("can't create {}: {}.", folder.string(), failure.message()));
    }
}

/// A tile's modalities, its labels and what was predicted, side by side.
tiles::Picture draw_prediction(const tiles::Manifest& manifest, const tiles::TileMemory& memory,
                               std::span<const std::uint8_t> predicted) {
    const std::int64_t stride = (manifest.tile + longest_edge - 1) / longest_edge;
    const std::int64_t edge = (manifest.tile + stride - 1) / stride;
    const auto columns = static_cast<std::int64_t>(manifest.modalities.size()) + 2;
    tiles::Picture picture(columns * (edge + gap) - gap, edge);
    tiles::PicturePlace place{0, 0, stride};
    for (std::size_t m = 0; m < manifest.modalities.size(); ++m) {
        draw_modality(manifest, memory, m, picture, place);
        place.left += edge + gap;
    }
    draw_classes(manifest, memory.label, picture, place);
    place.left += edge + gap;
    draw_classes(manifest, predicted, picture, place);
    return picture;
}

}  // namespace

RunRecords::RunRecords(const config::Config& config, const tiles::TileStore& store, report::RunFolder& folder,
                       const GpuWatch& gpu)
    : config_(config), store_(store), folder_(folder), gpu_(gpu) {
    if (config.report.tensorboard) {
        attempt([&] { events_ = std::make_unique<tensorboard::EventFile>(folder.path() / "tb"); });
    }
}

void RunRecords::attempt(const std::function<void()>& write) {
    try {
        write();
        failing_ = false;
    } catch (const Error& error) {
        if (!failing_) log::warning("{} Training goes on without this record.", error.message());
        failing_ = true;
    }
}

void RunRecords::to_tensorboard(const std::function<void(tensorboard::EventFile&)>& write) {
    if (events_ == nullptr) return;
    try {
        write(*events_);
    } catch (const Error& error) {
        log::warning("{} Training goes on; nothing more is written for TensorBoard.", error.message());
        events_.reset();  // behind half a record nothing can be read
    }
}

void RunRecords::on_start(const train::RunReport& report) {
    protocol_ = report.evaluation_protocol;
    if (!folder_.continued()) return;
    to_tensorboard([&](tensorboard::EventFile& events) { events.restart(report.first_step + 1); });
}

void RunRecords::on_step(const train::StepReport& report) {
    sum_.step = report.step;
    sum_.epoch = report.epoch;
    sum_.loss += report.loss;
    sum_.learning_rate += report.rate;
    sum_.gradient_norm += report.gradient_norm;
    sum_.seconds += report.seconds;
    sum_.io_wait += report.io_wait;
    samples_ += report.samples;
    ++steps_;
    if (report.step % config_.report.every == 0) write_row();
}

void RunRecords::write_row() {
    if (steps_ == 0) return;
    const auto count = static_cast<double>(steps_);
    report::StepRecord row = sum_;
    row.loss /= count;
    row.learning_rate /= count;
    row.gradient_norm /= count;
    row.tiles_per_second = sum_.seconds > 0 ? static_cast<double>(samples_) / sum_.seconds : 0;
    row.io_wait = sum_.seconds > 0 ? sum_.io_wait / sum_.seconds : 0;
    row.seconds /= count;
    const bool read = read_gpu();
    row.gpu = gpu_record_;
    attempt([&] { folder_.step(row); });
    std::vector<tensorboard::Scalar> scalars = {{"train/loss", row.loss},
                                                {"train/lr", row.learning_rate},
                                                {"train/grad_norm", row.gradient_norm},
                                                {"train/tiles_per_second", row.tiles_per_second},
                                                {"train/io_wait", row.io_wait},
                                                {"train/epoch", static_cast<double>(row.epoch)}};
    if (read) add_gpu(scalars);
    to_tensorboard([&](tensorboard::EventFile& events) { events.scalars(row.step, scalars); });
    sum_ = {};
    steps_ = samples_ = 0;
}

bool RunRecords::read_gpu() {
    // The driver's counters are means over a sixth of a second or more.
    const auto now = std::chrono::steady_clock::now();
    if (now < next_reading_) return false;
    next_reading_ = now + std::chrono::seconds(10);
    gpu_record_ = gpu_record(gpu_.read());
    return true;
}

void RunRecords::add_gpu(std::vector<tensorboard::Scalar>& scalars) const {
    const auto add = [&](const char* name, const std::optional<double>& value) {
        if (value) scalars.push_back({name, *value});
    };
    add("gpu/busy_percent", gpu_record_.busy);
    add("gpu/memory_GiB", gpu_record_.memory_gib);
    add("gpu/temperature_C", gpu_record_.temperature);
    add("gpu/power_W", gpu_record_.power);
    add("gpu/clock_MHz", gpu_record_.clock);
}

void RunRecords::on_evaluation(const train::EvaluationReport& report) {
    write_row();
    show_scores(report);
    attempt([&] { show_confusion(report); });
    attempt([&] { show_predictions(report); });
    to_tensorboard([](tensorboard::EventFile& events) { events.flush(); });
}

void RunRecords::show_scores(const train::EvaluationReport& report) {
    std::vector<tensorboard::Scalar> scalars = {{"train/epoch_loss", report.training_loss},
                                                {"val/loss", report.loss},
                                                {"val/OA", report.scores.oa},
                                                {"val/mIoU", report.scores.miou},
                                                {"val/mF1", report.scores.mf1},
                                                {"val/kappa", report.scores.kappa}};
    for (std::size_t i = 0; i < report.scores.classes.size(); ++i) {
        const std::optional<double>& iou = report.scores.classes[i].iou;
        if (iou) scalars.push_back({"val/IoU/" + config_.classes.at(i).name, *iou});
    }
    to_tensorboard([&](tensorboard::EventFile& events) { events.scalars(report.step, scalars); });
}

void RunRecords::show_confusion(const train::EvaluationReport& report) {
    report::ScoreContext context = score_context(config_, "val");
    context.protocol = protocol_;
    context.weights = fmt::format("step {}", report.step);
    context.step = report.step;
    report::write_scores(folder_.path() / "confusion" / fmt::format("step-{:08}", report.step),
                         report.confusion, context);
    to_tensorboard([&](tensorboard::EventFile& events) {
        const report::Canvas canvas = report::draw_confusion(report.confusion, context);
        events.image(report.step, "val/confusion", canvas.width(), canvas.height(), 3,
                     raster::encode_png(canvas.width(), canvas.height(), 3, canvas.pixels()));
    });
}

void RunRecords::show_predictions(const train::EvaluationReport& report) {
    if (report.predictions.empty()) return;
    const fs::path folder = folder_.path() / "preview";
    create_folder(folder);
    tiles::TileMemory memory(store_.manifest());
    tiles::TileReader reader(store_);
    const std::span<const std::int64_t> tiles = store_.tiles_of(tiles::Split::val);
    for (const train::TilePrediction& prediction : report.predictions) {
        const std::int64_t tile = tiles[static_cast<std::size_t>(prediction.tile)];
        reader.read(tile, memory.buffers());
        const tiles::Picture picture = draw_prediction(store_.manifest(), memory, prediction.classes);
        const std::vector<std::byte> png =
            raster::encode_png(picture.width, picture.height, 3, picture.pixels);
        write_file_atomically(folder / fmt::format("tile_{:06}.png", tile), png);
        to_tensorboard([&](tensorboard::EventFile& events) {
            events.image(report.step, fmt::format("val/tile_{:06}", tile), picture.width, picture.height, 3,
                         png);
        });
    }
}

void RunRecords::finish() {
    write_row();
    to_tensorboard([](tensorboard::EventFile& events) { events.flush(); });
}

}  // namespace terrane::app
