#include "train/evaluator.hpp"

#include <array>
#include <chrono>

#include "train/network_setup.hpp"
#include "train/rank_agreement.hpp"

namespace terrane::train {

namespace {

recipe::Design design_of(const config::Config& config, const data::TileLayout& layout, std::int64_t batch) {
    return {.model = config.model,
            .loss = config.loss,
            .inputs = network_inputs(layout, batch, layout.edge),
            .task = nets::Task::evaluate,
            .compute = compute_type(config.train.precision),
            .crop = config.augment.crop > 0 ? config.augment.crop : layout.edge};
}

}  // namespace

Evaluator::Evaluator(const config::Config& config, data::TileSource& source, std::int64_t batch,
                     device::Backend& backend, graph::ParameterStore& store, comm::Communicator& communicator,
                     device::Collectives* exchange)
    : source_(source),
      batch_(batch),
      prefetch_(config.train.prefetch),
      backend_(backend),
      store_(store),
      communicator_(communicator),
      seed_(config.runtime.seed),
      inference_(recipe::make_inference(design_of(config, source.layout(), batch),
                                        {backend, store, exchange != nullptr ? *exchange : communicator})) {}

Evaluation Evaluator::run() {
    return *run({});
}

std::optional<Evaluation> Evaluator::run(const std::function<bool()>& stop_requested) {
    const auto begin = std::chrono::steady_clock::now();
    broadcast_states(store_, backend_, communicator_);
    inference_->parameters_changed();
    clear_counts();

    const data::TileLayout& layout = source_.layout();
    const data::EvaluationOrder order(layout, source_.size(), batch_, communicator_.rank(),
                                      communicator_.size());
    const data::InputSlots slots = input_slots(*inference_, layout);
    data::Feeder feeder(source_, order, batch_, 0, prefetch_, backend_.sample_kernels());
    std::vector<std::int64_t> keys(static_cast<std::size_t>(batch_));
    // Sum and normaliser of every batch of every rank. Others' places are zero, so that adding them up is
    // exact and the total below has one order, whatever the number of ranks.
    std::vector<double> losses(static_cast<std::size_t>(2 * order.batches() * communicator_.size()));
    for (std::int64_t n = 0; n < order.batches(); ++n) {
        feeder.next(slots);
        const auto current = feeder.current();
        for (std::size_t i = 0; i < keys.size(); ++i) {
            keys[i] = i < current.size() ? -1 - current[i].tile : 0;  // no key of a training sample
        }
        inference_->run(seed_, keys);
        const graph::LossTotals totals = inference_->losses();
        const auto place = static_cast<std::size_t>(2 * (n * communicator_.size() + communicator_.rank()));
        losses[place] = totals.sum;
        losses[place + 1] = totals.normaliser;
        if (stop_requested) {
            std::array<std::int64_t, 1> votes{stop_requested() ? 1 : 0};
            communicator_.sum(votes);
            if (votes[0] > 0) return std::nullopt;
        }
    }
    communicator_.sum(losses);

    double sum = 0, normaliser = 0;
    for (std::size_t i = 0; i < losses.size(); i += 2) {
        sum += losses[i];
        normaliser += losses[i + 1];
    }
    Evaluation result{summed_counts(), normaliser > 0 ? sum / normaliser : 0, source_.size(), 0};
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
