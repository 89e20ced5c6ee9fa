#include "train/update_check.hpp"

#include <cmath>

#include "base/error.hpp"

namespace terrane::train {

UpdateCheck::UpdateCheck(const optim::Optimizer& optimizer, const graph::ParameterStore& store,
                         SavedStates& states, device::Backend& backend)
    : optimizer_(optimizer),
      store_(store),
      states_(states),
      backend_(backend),
      queue_(dynamic_cast<device::QueuedSums*>(&backend.flat_kernels())),
      places_(optimizer.most_trained_runs() + 1) {
    const std::size_t bytes = places_ * sizeof(double);
    if (queue_ != nullptr) sums_ = backend.allocate(bytes);
    read_ = backend.allocate_staging(bytes);
}

void UpdateCheck::queue(std::int64_t step) {
    TERRANE_ASSERT(!queued_, "update {} is checked twice", step);
    queued_ = true;
    if (queue_ == nullptr) {
        states_.look();
        auto* const read = reinterpret_cast<double*>(read_.data());
        read[0] = optimizer_.norm_of_sums(store_.gradient_values(), step);
        read[places_ - 1] = backend_.flat_kernels().any_not_finite(states_.seen()) ? 1 : 0;
        return;
    }
    std::size_t runs = 0, elements = 0;
    optimizer_.for_each_trained_run(store_.gradient_values(), step, [&](std::span<const float> run) {
        ++runs;
        elements += run.size();
    });
    // A group that is no longer frozen adds to the norm from now on.
    if (elements != elements_) {
        for (graph::RecordedSteps& recorded : recorded_) recorded = graph::RecordedSteps();
    }
    runs_ = runs;
    elements_ = elements;
    recorded_[states_.turn()].run(
        backend_, 1, [](std::size_t) { return false; }, [&](std::size_t) { queue_sums(step); });
}

void UpdateCheck::queue_sums(std::int64_t step) {
    auto* const sums = reinterpret_cast<double*>(sums_.data());
    double* place = sums;
    optimizer_.for_each_trained_run(store_.gradient_values(), step, [&](std::span<const float> run) {
        queue_->queue_sum_of_squares(run, place++);
    });
    states_.look();
    queue_->queue_count_of_not_finite(states_.seen(), sums + places_ - 1);
    backend_.copy_to_host_later(read_.data(), sums_.data(), places_ * sizeof(double));
}

UpdateCheck::Result UpdateCheck::take() {
    TERRANE_ASSERT(queued_, "an update was not checked");
    queued_ = false;
    const auto* const read = reinterpret_cast<const double*>(read_.data());
    Result result;
    result.states_are_finite = read[places_ - 1] == 0;
    if (queue_ == nullptr) {
        result.norm_of_sums = read[0];
        return result;
    }
    double squares = 0;
    for (std::size_t i = 0; i < runs_; ++i) squares += read[i];
    result.norm_of_sums = std::sqrt(squares);
    return result;
}

}  // namespace terrane::train
