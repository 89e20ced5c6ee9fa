#include "train/evaluator.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "base/activity.hpp"
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

void Evaluator::keep_predictions(std::int64_t tiles) {
    chosen_.clear();
    const std::int64_t count = std::min(tiles, source_.size());
    for (std::int64_t i = 0; i < count; ++i) chosen_.push_back(i * source_.size() / count);
}

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
    std::string kept;
    for (std::int64_t n = 0; n < order.batches(); ++n) {
        feeder.next(slots);
        activity::set_work("evaluating");
        const auto current = feeder.current();
        for (std::size_t i = 0; i < keys.size(); ++i) {
            keys[i] = i < current.size() ? -1 - current[i].tile : 0;  // no key of a training sample
        }
        inference_->run(seed_, keys);
        keep_chosen(current, kept);
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
    Evaluation result{summed_counts(), normaliser > 0 ? sum / normaliser : 0, source_.size(), 0,
                      gathered(kept)};
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return result;
}

// One entry per chosen tile: its number, then its class map.
void Evaluator::keep_chosen(std::span<const data::SampleDraw> samples, std::string& kept) const {
    const TensorView classes = inference_->classes();
    const std::size_t bytes = classes.bytes() / static_cast<std::size_t>(batch_);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::int64_t tile = samples[i].tile;
        if (!std::binary_search(chosen_.begin(), chosen_.end(), tile)) continue;
        const std::size_t begin = kept.size();
        kept.resize(begin + sizeof(tile) + bytes);
        std::memcpy(kept.data() + begin, &tile, sizeof(tile));
        backend_.copy_to_host(reinterpret_cast<std::byte*>(kept.data() + begin + sizeof(tile)),
                              classes.data + i * bytes, bytes);
    }
}

std::vector<TilePrediction> Evaluator::gathered(const std::string& kept) {
    std::vector<TilePrediction> predictions;
    if (chosen_.empty()) return predictions;
    const auto pixels = static_cast<std::size_t>(source_.layout().edge * source_.layout().edge);
    for (const std::string& part : communicator_.gather(kept, 0)) {
        for (std::size_t at = 0; at < part.size(); at += sizeof(std::int64_t) + pixels) {
            TilePrediction prediction;
            std::memcpy(&prediction.tile, part.data() + at, sizeof(prediction.tile));
            const char* classes = part.data() + at + sizeof(prediction.tile);
            prediction.classes.assign(classes, classes + pixels);
            predictions.push_back(std::move(prediction));
        }
    }
    std::sort(predictions.begin(), predictions.end(),
              [](const TilePrediction& a, const TilePrediction& b) { return a.tile < b.tile; });
    return predictions;
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
        "{} tiles of {} x {} pixels, whole and unchanged, {}; ignored labels not counted; means "
        "over the classes that occur",
        source_.size(), source_.layout().edge, source_.layout().edge,
        source_.layout().scored_by_window ? "which overlap: a pixel counts in each by itself" : "each once");
}

}  // namespace terrane::train
