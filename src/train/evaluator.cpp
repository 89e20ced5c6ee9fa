#include "train/evaluator.hpp"

#include <array>
#include <chrono>

#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"

namespace terrane::train {

namespace {

graph::ProgramPlan plan_evaluation(const config::Config& config, const data::TileLayout& layout,
                                   std::int64_t batch, device::Backend& backend) {
    return graph::plan_program(
        nets::build_network(config.model, config.loss, network_inputs(layout, batch, layout.edge),
                            nets::Task::evaluate, compute_type(config.train.precision)),
        backend);
}

}  // namespace

Evaluator::Evaluator(const config::Config& config, data::TileSource& source, std::int64_t batch,
                     device::Backend& backend, graph::ParameterStore& store, comm::Communicator& communicator)
    : source_(source),
      batch_(batch),
      prefetch_(config.train.prefetch),
      backend_(backend),
      store_(store),
      communicator_(communicator),
      program_(plan_evaluation(config, source.layout(), batch, backend), backend, store, communicator) {}

Evaluation Evaluator::run() {
    const auto begin = std::chrono::steady_clock::now();
    broadcast_states(store_, backend_, communicator_);
    program_.parameters_changed();
    clear_counts();

    const data::TileLayout& layout = source_.layout();
    const data::EvaluationOrder order(layout, source_.size(), batch_, communicator_.rank(),
                                      communicator_.size());
    const data::InputSlots slots = input_slots(program_, layout);
    data::Feeder feeder(source_, order, batch_, 0, prefetch_, backend_.sample_kernels());
    std::array<double, 2> losses{};  // sum, normaliser
    for (std::int64_t n = 0; n < order.batches(); ++n) {
        feeder.next(slots);
        program_.run_forward({});
        const graph::LossTotals totals = program_.losses();
        losses[0] += totals.sum;
        losses[1] += totals.normaliser;
    }
    communicator_.sum(losses);

    Evaluation result{summed_counts(), losses[1] > 0 ? losses[0] / losses[1] : 0, source_.size(), 0};
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

void Evaluator::clear_counts() {
    const TensorView counts = store_.state("evaluation.confusion");
    const std::vector<std::byte> zeros(counts.bytes());
    backend_.copy_to_device(counts.data, zeros.data(), zeros.size());
}

report::ConfusionMatrix Evaluator::summed_counts() {
    report::ConfusionMatrix matrix(source_.layout().classes);
    const TensorView counts = store_.state("evaluation.confusion");
    backend_.copy_to_host(reinterpret_cast<std::byte*>(matrix.counts().data()), counts.data, counts.bytes());
    communicator_.sum(matrix.counts());
    return matrix;
}

std::string Evaluator::protocol() const {
    return fmt::format(
        "{} tiles of {} x {} pixels, whole and unchanged, each once; ignored labels not counted; means "
        "over the classes that occur",
        source_.size(), source_.layout().edge, source_.layout().edge);
}

}  // namespace terrane::train
