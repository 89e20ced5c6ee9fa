#include "optim/optimizer.hpp"

#include <algorithm>
#include <cstddef>

#include "base/error.hpp"

namespace terrane::optim {

namespace {

std::span<float> floats_of(const device::Buffer& buffer) {
    return {reinterpret_cast<float*>(buffer.data()), buffer.bytes() / sizeof(float)};
}

/// A copy of the values in device memory.
template <typename T>
device::Buffer on_device(device::Backend& backend, const std::vector<T>& values) {
    device::Buffer buffer = backend.allocate(values.size() * sizeof(T));
    backend.copy_to_device(buffer.data(), reinterpret_cast<const std::byte*>(values.data()), buffer.bytes());
    return buffer;
}

device::UpdateRules rules_of(const config::Optim& settings, bool scales_loss) {
    device::UpdateRules rules;
    rules.weight_decay = settings.weight_decay;
    rules.decay = settings.name == "adamw" ? device::WeightDecay::decoupled : device::WeightDecay::coupled;
    rules.momentum = settings.momentum;
    rules.beta1 = settings.beta1;
    rules.beta2 = settings.beta2;
    rules.epsilon = settings.epsilon;
    rules.clip_norm = std::max(settings.clip_norm, 0.0);
    rules.average_decay = settings.ema_decay;
    rules.scales_loss = scales_loss;
    return rules;
}

}  // namespace

Optimizer::Optimizer(const config::Optim& settings, std::vector<device::UpdateSegment> segments,
                     std::int64_t parameters, device::Backend& backend, bool scales_loss)
    : backend_(backend),
      kernels_(backend.flat_kernels()),
      rules_(rules_of(settings, scales_loss)),
      parts_(parts_of(segments, parameters)) {
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
    record_ = backend.allocate(sizeof(device::UpdateRecord));
    segments_ = on_device(backend, segments);
    std::vector<std::int64_t> first_updates;
    for (const Part& part : parts_) first_updates.push_back(part.first_update);
    first_updates_ = on_device(backend, first_updates);
    squares_ = backend.allocate(parts_.size() * sizeof(double));
    begin(0, {});
}

// Padding between segments is zero and adds nothing to a norm: a part reaches to the next one.
std::vector<Optimizer::Part> Optimizer::parts_of(std::span<const device::UpdateSegment> segments,
                                                 std::int64_t parameters) {
    std::vector<Part> parts;
    std::int64_t end = 0;
    for (const device::UpdateSegment& one : segments) {
        TERRANE_ASSERT(one.offset >= end && one.length >= 0 && one.length <= parameters - one.offset,
                       "segment [{}, +{}) of {} parameters", one.offset, one.length, parameters);
        end = one.offset + one.length;
        if (parts.empty() || parts.back().first_update != one.first_step)
            parts.push_back({static_cast<std::size_t>(one.offset), 0, one.first_step});
        parts.back().length = static_cast<std::size_t>(end) - parts.back().offset;
    }
    return parts;
}

std::span<const device::UpdateSegment> Optimizer::segments() const {
    return {reinterpret_cast<const device::UpdateSegment*>(segments_.data()),
            segments_.bytes() / sizeof(device::UpdateSegment)};
}

void Optimizer::begin(std::int64_t updates, const device::LossScale& scale) {
    device::UpdateRecord record;
    record.updates = updates;
    if (rules_.scales_loss) record.loss_scale = scale;
    backend_.copy_to_device(record_.data(), reinterpret_cast<const std::byte*>(&record), sizeof(record));
}

void Optimizer::order(const device::UpdateOrder& order) {
    static_assert(offsetof(device::UpdateRecord, order) == 0);
    backend_.copy_to_device(record_.data(), reinterpret_cast<const std::byte*>(&order), sizeof(order));
}

void Optimizer::gather(std::span<const float> gradients, const device::PassLosses& losses,
                       std::span<const double> not_finite) {
    auto* const squares = reinterpret_cast<double*>(squares_.data());
    for (std::size_t i = 0; i < parts_.size(); ++i)
        kernels_.sum_of_squares(gradients.subspan(parts_[i].offset, parts_[i].length), squares + i);
    device::UpdateFacts facts;
    facts.losses = losses;
    facts.squares = squares;
    facts.first_updates = reinterpret_cast<const std::int64_t*>(first_updates_.data());
    facts.parts = std::ssize(parts_);
    facts.not_finite = not_finite.data();
    facts.counts = std::ssize(not_finite);
    kernels_.gather(facts, mutable_record());
}

std::span<double> Optimizer::sums() const {
    using device::UpdateRecord;
    static_assert(sizeof(device::UpdateSums) % sizeof(double) == 0);
    return {reinterpret_cast<double*>(record_.data() + offsetof(UpdateRecord, sums)),
            sizeof(device::UpdateSums) / sizeof(double)};
}

void Optimizer::make(std::span<float> parameters, std::span<const float> gradients, float* loss_scale) {
    kernels_.judge(rules_, mutable_record(), loss_scale);
    const auto* const scalars = reinterpret_cast<const device::UpdateScalars*>(
        record_.data() + offsetof(device::UpdateRecord, scalars));
    switch (kind_) {
        case Kind::sgd:
            kernels_.sgd(parameters, gradients, floats_of(moment1_), floats_of(average_), segments(),
                         scalars);
            break;
        case Kind::adam:
        case Kind::adamw:
            kernels_.adamw(parameters, gradients, floats_of(moment1_), floats_of(moment2_),
                           floats_of(average_), segments(), scalars);
            break;
    }
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

std::size_t Optimizer::bytes() const {
    std::size_t bytes = 0;
    for (const device::Buffer* one :
         {&moment1_, &moment2_, &average_, &record_, &segments_, &first_updates_, &squares_})
        bytes += one->bytes();
    return bytes;
}

}  // namespace terrane::optim
