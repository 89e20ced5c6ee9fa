#include "bench/scaling.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/timed_communicator.hpp"
#include "train/trainer.hpp"

namespace terrane::bench {

namespace {

/// Keeps the steps after the warm-up, and how long communication held them up.
class StepClock final : public train::TrainingObserver {
  public:
    StepClock(int warm_up, const TimedCommunicator& communicator)
        : warm_up_(warm_up), communicator_(communicator) {}

    void on_step(const train::StepReport& step) override {
        ++steps_;
        loss = step.loss;
        if (steps_ == warm_up_) {
            communication_before_ = communicator_.seconds();
            bytes_before_ = communicator_.bytes();
        }
        if (steps_ <= warm_up_) return;
        seconds.push_back(step.seconds);
        waited += step.io_wait;
        communication = communicator_.seconds() - communication_before_;
        bytes = communicator_.bytes() - bytes_before_;
    }

    std::vector<double> seconds;
    double waited = 0, communication = 0, loss = 0;
    std::size_t bytes = 0;

  private:
    int warm_up_;
    const TimedCommunicator& communicator_;
    int steps_ = 0;
    double communication_before_ = 0;
    std::size_t bytes_before_ = 0;
};

}  // namespace

ScalingResult measure_scaling(config::Config config, data::TileSource& source, const ScalingOptions& options,
                              device::Backend& backend, comm::Communicator& communicator,
                              const std::filesystem::path& scratch) {
    config.train.steps = options.warm_up + options.steps;
    config.train.resume = "never";
    config.optim.schedule = "constant";
    config.optim.warmup_steps = 0;
    TimedCommunicator timed(communicator);
    StepClock clock(options.warm_up, timed);
    train::TrainingSetup setup{config, source, nullptr, backend, timed, scratch, clock};
    setup.device_sums = options.device_sums;
    train::Trainer trainer(setup);
    trainer.prepare();
    trainer.run();

    double total = 0;
    for (const double seconds : clock.seconds) total += seconds;
    // A step ends when all ranks have ended it; per step the slowest clock counts.
    communicator.max(clock.seconds);
    std::vector<double> sorted = clock.seconds;
    std::sort(sorted.begin(), sorted.end());
    std::array<double, 1> communication{clock.communication / total}, waited{clock.waited / total};
    communicator.sum(communication);
    communicator.max(waited);

    ScalingResult result;
    result.seconds = sorted[sorted.size() / 2];
    result.least = sorted.front();
    result.samples = config.train.global_batch;
    result.exposed_communication = communication[0] / communicator.size();
    result.io_wait = waited[0];
    result.gradient_bytes = clock.bytes / clock.seconds.size();
    result.loss = clock.loss;
    return result;
}

std::string scaling_json(const ScalingResult& result, const config::Config& config, int ranks, int nodes,
                         int threads, const std::string& source, const std::string& device,
                         const std::string& command) {
    nlohmann::json json;
    json["bench"] = "scaling";
    json["command"] = command;
    json["model"] = config.model.name;
    json["precision"] = config.train.precision;
    json["device"] = device;
    json["ranks"] = ranks;
    json["nodes"] = nodes;
    json["threads_per_rank"] = threads;
    json["source"] = source;
    json["global_batch"] = result.samples;
    json["step_seconds"] = result.seconds;
    json["least_step_seconds"] = result.least;
    json["samples_per_second"] = static_cast<double>(result.samples) / result.seconds;
    json["exposed_communication"] = result.exposed_communication;
    json["io_wait"] = result.io_wait;
    json["gradient_bytes"] = result.gradient_bytes;
    json["loss"] = result.loss;
    return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace terrane::bench
