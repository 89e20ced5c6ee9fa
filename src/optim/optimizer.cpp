#include "optim/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace terrane::optim {

namespace {

std::span<float> floats_of(const device::Buffer& buffer) {
    return {reinterpret_cast<float*>(buffer.data()), buffer.bytes() / sizeof(float)};
}

}  // namespace

Optimizer::Optimizer(const config::Optim& settings, std::vector<device::UpdateSegment> segments,
                     std::int64_t parameters, device::Backend& backend)
    : settings_(settings), segments_(std::move(segments)), kernels_(backend.flat_kernels()) {
    const std::size_t bytes = static_cast<std::size_t>(parameters) * sizeof(float);
    if (settings.name == "sgd") {
        kind_ = Kind::sgd;
    } else if (settings.name == "adam" || settings.name == "adamw") {
        kind_ = settings.name == "adam" ? Kind::adam : Kind::adamw;
        moment2_ = backend.allocate(bytes);
    } else {
        throw Error(ExitCode::config_invalid, 511,
                    fmt::format("optim.name \"{}\" is unknown.", settings.name),
                    "Choose sgd, adam or adamw.");
    }
    moment1_ = backend.allocate(bytes);
    if (settings.ema_decay > 0) average_ = backend.allocate(bytes);
}

double Optimizer::norm_of_sums(std::span<const float> gradients, std::int64_t step) const {
    double squares = 0;
    for_each_trained_run(gradients, step,
                         [&](std::span<const float> run) { squares += kernels_.sum_of_squares(run); });
    return std::sqrt(squares);
}

UpdateReport Optimizer::update(std::span<float> parameters, std::span<const float> gradients,
                               double normaliser, double rate, std::int64_t step) {
    return update(parameters, gradients, norm_of_sums(gradients, step), normaliser, rate, step);
}

UpdateReport Optimizer::update(std::span<float> parameters, std::span<const float> gradients,
                               double norm_of_sums, double normaliser, double rate, std::int64_t step) {
    if (normaliser == 0) return {};
    UpdateReport report;
    report.gradient_norm = norm_of_sums / normaliser;
    report.finite = std::isfinite(report.gradient_norm);
    if (!report.finite) return report;

    double clip = 1;
    if (settings_.clip_norm > 0) clip = std::min(1.0, settings_.clip_norm / (report.gradient_norm + 1e-6));
    device::UpdateScalars scalars;
    scalars.rate = rate;
    scalars.gradient_scale = clip / normaliser;
    scalars.weight_decay = settings_.weight_decay;
    scalars.decay = kind_ == Kind::adamw ? device::WeightDecay::decoupled : device::WeightDecay::coupled;
    scalars.momentum = settings_.momentum;
    scalars.beta1 = settings_.beta1;
    scalars.beta2 = settings_.beta2;
    scalars.epsilon = settings_.epsilon;
    scalars.step = step + 1;
    switch (kind_) {
        case Kind::sgd:
            kernels_.sgd(parameters, gradients, floats_of(moment1_), segments_, scalars);
            break;
        case Kind::adam:
        case Kind::adamw:
            kernels_.adamw(parameters, gradients, floats_of(moment1_), floats_of(moment2_), segments_,
                           scalars);
            break;
    }
    if (average_.bytes() > 0) {
        const auto updates = static_cast<double>(step + 1);
        kernels_.blend(floats_of(average_), parameters,
                       std::min(settings_.ema_decay, (1 + updates) / (10 + updates)));
    }
    return report;
}

void Optimizer::start_average(std::span<const float> parameters) {
    if (average_.bytes() > 0) kernels_.blend(floats_of(average_), parameters, 0);
}

void Optimizer::exchange_average(std::span<float> parameters) {
    if (average_.bytes() > 0) kernels_.exchange(floats_of(average_), parameters);
}

std::vector<Optimizer::Moment> Optimizer::moments() {
    std::vector<Moment> all;
    switch (kind_) {
        case Kind::sgd:
            all = {{"velocity", floats_of(moment1_)}};
            break;
        case Kind::adam:
        case Kind::adamw:
            all = {{"moment1", floats_of(moment1_)}, {"moment2", floats_of(moment2_)}};
            break;
    }
    if (average_.bytes() > 0) all.push_back({"trained", floats_of(average_)});
    return all;
}

}  // namespace terrane::optim
