#include "report/run_folder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "config/print.hpp"
#include "report/csv.hpp"

namespace terrane::report {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::tm local_time() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::localtime_r(&now, &parts);
    return parts;
}

std::string job_or_process() {
    const char* job = std::getenv("SLURM_JOB_ID");
    return job != nullptr ? job : fmt::format("{}", ::getpid());
}

constexpr std::string_view evidence_prefix = "last_collectives_rank_";  // see comm/lifeline.cpp

// Everything a run may have put there; nothing else is ever removed.
void remove_run(const fs::path& path) {
    std::vector<fs::path> entries;
    for (const char* name :
         {"run.json", "config.toml", "log", "events.jsonl", "metrics.csv", "steps.csv", "confusion", "tb",
          "ckpt", "preview", "report.html", "wandb-export", "diverged.json"})
        entries.push_back(path / name);
    for (const auto& entry : fs::directory_iterator(path)) {
        if (entry.path().filename().string().starts_with(evidence_prefix)) entries.push_back(entry.path());
    }
    for (const fs::path& entry : entries) {
        std::error_code failure;
        fs::remove_all(entry, failure);
        if (failure) {
            throw Error(ExitCode::cannot_create, 901,
                        fmt::format("can't remove {}: {}.", entry.string(), failure.message()));
        }
    }
}

Json read_run(const fs::path& file) {
    const Json run = Json::parse(read_text_file(file, std::size_t{16} << 20), nullptr, false);
    if (!run.is_object() || !run.contains("starts") || !run["starts"].is_array()) {
        throw Error(ExitCode::cannot_create, 904,
                    fmt::format("{} is damaged: it is no record of a run.", file.string()),
                    "Choose another -o, or add --overwrite to replace the run.");
    }
    return run;
}

constexpr const char* lock_name = ".running";

bool holds_nothing(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().filename() != lock_name) return false;
    }
    return true;
}

}  // namespace

std::unique_ptr<FolderLock> RunFolder::lock(const fs::path& path) {
    return std::make_unique<FolderLock>(
        path,
        FolderLock::Settings{.file = lock_name,
                             .number = 906,
                             .what = fmt::format("the run folder {} is being trained in", path.string()),
                             .fix = "Wait until it is done or stop it, or train into another folder "
                                    "with -o."});
}

fs::path RunFolder::choose(const config::Config& config) {
    if (!config.runtime.out.empty()) return config.runtime.out;
    const std::string name = fs::path(config.folder).filename().string();
    return fs::path("runs") / (name.empty() ? "run" : name) /
           fmt::format("{:%Y%m%d-%H%M%S}_{}", local_time(), job_or_process());
}

RunFolder::RunFolder(fs::path path, const config::Resolved& resolved, const RunDescription& description)
    : path_(std::move(path)) {
    create_folders(path_);
    const fs::path record = path_ / "run.json";
    if (resolved.config.runtime.overwrite) remove_run(path_);
    const std::string identity = config::identity_hash(resolved.config);
    Json run = {{"program", description.program}, {"identity", identity}, {"starts", Json::array()}};
    if (fs::exists(record)) {
        if (resolved.config.train.resume == "never") {
            throw Error(ExitCode::cannot_create, 904,
                        fmt::format("{} holds a run already and train.resume is \"never\".", path_.string()),
                        "Choose another -o, or add --overwrite to replace the run.");
        }
        run = read_run(record);
        if (run.value("identity", "") != identity) {
            log::warning(
                "{} was started with another configuration; its config.toml now shows the current one",
                path_.string());
        }
        run["identity"] = identity;
        continued_ = true;
    } else if (!holds_nothing(path_)) {
        throw Error(ExitCode::cannot_create, 904,
                    fmt::format("{} is neither empty nor the folder of a run.", path_.string()),
                    "Choose another -o.");
    }
    run["starts"].push_back({{"time", fmt::format("{:%Y-%m-%dT%H:%M:%S%z}", local_time())},
                             {"command", description.command},
                             {"mpi", description.message_layer},
                             {"hosts", description.hosts},
                             {"threads", description.threads},
                             {"seed", resolved.config.runtime.seed}});
    create_folders(path_ / "log");
    write_file_atomically(path_ / "config.toml", config::print_toml(resolved, config::SourceComments::off));
    write_file_atomically(record, run.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    events_ = std::make_unique<AppendFile>(path_ / "events.jsonl");
    metrics_ = std::make_unique<StepTable>(path_ / "metrics.csv", 1);
    steps_ = std::make_unique<StepTable>(path_ / "steps.csv", 0);
    log::add_file((path_ / "log" / "rank_0.log").string());
    event(continued_ ? "continued" : "started");
}

void RunFolder::event(const std::string& name, const std::string& fields_json) {
    Json line = {{"time", fmt::format("{:%Y-%m-%dT%H:%M:%S%z}", local_time())}, {"event", name}};
    line.update(Json::parse(fields_json));
    events_->write_line(line.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void RunFolder::go_on_after(std::int64_t step) {
    metrics_->go_on_after(step);
    steps_->go_on_after(step);
}

void RunFolder::step(const StepRecord& record) {
    const GpuRecord& gpu = record.gpu;
    std::string line =
        fmt::format("{},{},{},{},{},{},{},{}", record.step, record.epoch, record.loss, record.learning_rate,
                    record.gradient_norm, record.tiles_per_second, record.io_wait, record.seconds);
    for (const std::optional<double>& value :
         {gpu.busy, gpu.memory_gib, gpu.temperature, gpu.power, gpu.clock})
        line += value ? fmt::format(",{:.6g}", *value) : ",";
    steps_->write(
        "step,epoch,loss,lr,grad_norm,tiles_per_second,io_wait,seconds,"
        "gpu_busy_percent,gpu_memory_gib,gpu_temperature_c,gpu_power_w,gpu_clock_mhz",
        line);
}

void RunFolder::metrics(const EpochRecord& record, const std::vector<std::string>& class_names) {
    std::string header =
        "epoch,step,train_loss,val_loss,oa,miou,mf1,kappa,tiles_per_second,io_wait,memory_gib,seconds,"
        "imbalance,bus_gb_per_s";
    for (const std::string& name : class_names) header += "," + csv_field("iou " + name);
    const auto field = [](const std::optional<double>& value) {
        return value ? fmt::format("{}", *value) : "";
    };
    const auto score_field = [&](double Scores::*member) {
        return record.scores ? fmt::format("{}", (*record.scores).*member) : "";
    };
    std::string line = fmt::format(
        "{},{},{},{},{},{},{},{},{},{},{},{},{},{}", record.epoch, record.step, record.train_loss,
        field(record.val_loss), score_field(&Scores::oa), score_field(&Scores::miou),
        score_field(&Scores::mf1), score_field(&Scores::kappa), record.tiles_per_second, record.io_wait,
        record.memory_gib, record.seconds, field(record.imbalance), field(record.bus_bandwidth));
    for (std::size_t i = 0; i < class_names.size(); ++i) {
        line += "," + (record.scores ? field(record.scores->classes.at(i).iou) : "");
    }
    metrics_->write(header, line);
}

}  // namespace terrane::report
