#include "train/feature_cache.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/hash.hpp"
#include "base/log.hpp"
#include "data/feeder.hpp"
#include "graph/program.hpp"
#include "train/model_description.hpp"
#include "train/network_setup.hpp"

namespace terrane::train {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t file_tiles = 16;
/// To be raised when the same settings come to mean other numbers.
constexpr const char* format = "terrane features 1";

Error refused(const std::string& why, const std::string& fix) {
    return Error(ExitCode::config_invalid, 517, "--feature-cache can't be used: " + why, fix);
}

/// The tiles of some files in all their symmetries, one after another.
class FeatureOrder final : public data::SampleOrder {
  public:
    struct Item {
        std::int64_t file, record, tile, symmetry;
    };

    FeatureOrder(std::vector<Item> items, std::int64_t batch, std::int64_t edge, std::size_t modalities)
        : items_(std::move(items)), batch_(batch), edge_(edge), modalities_(modalities) {}

    void fill(std::int64_t batch, std::span<data::SampleDraw> samples) const override {
        for (std::size_t i = 0; i < samples.size(); ++i) {
            const Item* const wanted = item(batch, i);
            samples[i].tile = wanted == nullptr ? -1 : wanted->tile;
            samples[i].transform = data::whole_tile(wanted == nullptr ? 0 : wanted->symmetry, edge_);
            samples[i].modalities.assign(modalities_, {});
        }
    }
    std::int64_t batches() const override {
        return (static_cast<std::int64_t>(items_.size()) + batch_ - 1) / batch_;
    }
    std::int64_t crop() const override { return edge_; }

    /// Null for places behind the last item.
    const Item* item(std::int64_t batch, std::size_t place) const {
        const auto at = static_cast<std::size_t>(batch * batch_) + place;
        return at < items_.size() ? &items_[at] : nullptr;
    }

  private:
    std::vector<Item> items_;
    std::int64_t batch_, edge_;
    std::size_t modalities_;
};

/// The input slots of a program, under the interface that input_slots() reads.
class ProgramPorts final : public recipe::InputPorts {
  public:
    explicit ProgramPorts(const graph::Program& program) : program_(program) {}
    TensorView input(const std::string& name) const override { return program_.input(name); }

  private:
    const graph::Program& program_;
};

}  // namespace

void FeatureCache::require_constant_samples(const config::Config& config, std::int64_t crop,
                                            std::int64_t edge) {
    const config::Augment& augment = config.augment;
    if (config.model.frozen == "none" && config.optim.freeze.empty()) {
        throw refused("nothing is frozen.", "Set model.frozen = \"encoder\" and train.init_weights.");
    }
    if (config.model.frozen_dropout) {
        throw refused("frozen parts drop out at random.", "Set model.frozen_dropout = false.");
    }
    if (crop != edge) {
        throw refused(fmt::format("samples of {} pixels are cut from tiles of {}.", crop, edge),
                      "Set augment.crop = 0.");
    }
    if (augment.rotation > 0 || augment.zoom != std::array<double, 2>{1.0, 1.0}) {
        throw refused("every sample is rotated or zoomed differently.",
                      "Set augment.rotation = 0 and augment.zoom = [1.0, 1.0].");
    }
    if (augment.brightness > 0 || augment.contrast > 0 || augment.noise > 0) {
        throw refused("every sample has another brightness, contrast or noise.",
                      "Set augment.brightness, contrast and noise to 0.");
    }
    if (config.model.modality_dropout > 0) {
        throw refused("modalities are withheld at random.", "Set model.modality_dropout = 0.");
    }
}

FeatureCache::FeatureCache(const Setup& setup)
    : setup_(setup), symmetries_(setup.config.augment.flips ? data::square_symmetries : 1) {
    graph::FrozenSplit split = graph::split_at_frozen(recipe::parameter_graph(setup_.design));
    if (split.features.empty()) {
        throw refused("no frozen part of the network gives the same numbers in every step.",
                      "Load the encoder with train.init_weights: what is not loaded is not frozen.");
    }
    for (const auto& [name, id] : split.constant.outputs) {
        const TensorSpec& spec = split.constant.value(id).spec;
        features_.push_back({name, spec.bytes() / static_cast<std::size_t>(spec.shape[0])});
        record_bytes_ += features_.back().bytes;
        slots_.push_back(setup_.training.input(name));
    }
    record_.resize(record_bytes_);
    fingerprint_ = fingerprint(split);
    folder_ = setup_.folder / fingerprint_.substr(0, 16);

    std::vector<std::int64_t> mine;
    for (std::int64_t file = setup_.communicator.rank(); file < files(); file += setup_.communicator.size()) {
        const std::string wrong = tiles::FeatureFile::unusable(path_of(file), spec_of(file));
        if (wrong.empty()) continue;
        if (fs::exists(path_of(file))) log::warning("{} It is computed again.", wrong);
        mine.push_back(file);
    }
    if (!mine.empty()) compute(std::move(split.constant), mine);
    setup_.communicator.barrier();
    for (std::int64_t file = 0; file < files(); ++file) files_.emplace_back(path_of(file), spec_of(file));
    log::info(
        "features of {} tiles in {} symmetries, {:.1f} MB, are in {}", setup_.tiles.size(), symmetries_,
        1e-6 * static_cast<double>(record_bytes_) * static_cast<double>(setup_.tiles.size() * symmetries_),
        folder_.string());
}

std::string FeatureCache::fingerprint(const graph::FrozenSplit& split) const {
    const data::TileLayout& layout = setup_.tiles.layout();
    const ModelDescription description{nets::completed(setup_.config.model), layout.modalities,
                                       setup_.config.classes, layout.edge};
    Sha256 hash;
    hash.update(fmt::format("{}\n{}\n{}\n{} symmetries\n", format, setup_.tiles.identity(),
                            description.to_json(), symmetries_));
    std::vector<std::byte> numbers;
    for (const graph::Value& value : split.constant.values) {
        hash.update(
            fmt::format("{} {} {}\n", value.name, name_of(value.spec.dtype), value.spec.shape.text()));
        TensorView view;
        if (value.kind == graph::ValueKind::parameter) {
            view = setup_.store.parameter(*setup_.store.find(value.name));
        } else if (value.kind == graph::ValueKind::state) {
            view = setup_.store.state(value.name);
        } else {
            continue;
        }
        numbers.resize(view.bytes());
        setup_.backend.copy_to_host(numbers.data(), view.data, view.bytes());
        hash.update(numbers);
    }
    return hash.finish();
}

std::int64_t FeatureCache::files() const {
    return (setup_.tiles.size() + file_tiles - 1) / file_tiles;
}

fs::path FeatureCache::path_of(std::int64_t file) const {
    return folder_ / fmt::format("tiles-{:06}.h5", file * file_tiles);
}

tiles::FeatureFileSpec FeatureCache::spec_of(std::int64_t file) const {
    const std::int64_t count = std::min(file_tiles, setup_.tiles.size() - file * file_tiles);
    return {fingerprint_, count * symmetries_, static_cast<std::int64_t>(record_bytes_)};
}

void FeatureCache::compute(graph::Graph constant, const std::vector<std::int64_t>& files) {
    std::error_code failure;
    fs::create_directories(folder_, failure);
    if (failure) {
        throw Error(ExitCode::cannot_create, 420,
                    fmt::format("{} can't be created: {}.", folder_.string(), failure.message()),
                    "Make the tile folder writable, or leave --feature-cache out.");
    }
    std::vector<FeatureOrder::Item> items;
    for (const std::int64_t file : files) {
        for (std::int64_t record = 0; record < spec_of(file).records; ++record) {
            items.push_back({file, record, file * file_tiles + record / symmetries_, record % symmetries_});
        }
    }
    log::info("computing the features of {} samples of the frozen part for {}", items.size(),
              folder_.string());
    const data::TileLayout& layout = setup_.tiles.layout();
    const std::int64_t batch = setup_.design.inputs.batch;
    device::SingleRank alone;
    graph::Program program(graph::plan_program(std::move(constant), setup_.backend), setup_.backend,
                           setup_.store, alone);
    program.parameters_changed();
    const data::InputSlots slots = input_slots(ProgramPorts(program), layout);
    const FeatureOrder order(std::move(items), batch, layout.edge, layout.modalities.size());
    data::Feeder feeder(setup_.tiles, order, batch, 0, setup_.config.train.prefetch,
                        setup_.backend.sample_kernels());
    std::optional<tiles::FeatureFileWriter> writer;
    std::int64_t written = -1;  // the file of the writer
    for (std::int64_t n = 0; n < order.batches(); ++n) {
        feeder.next(slots);
        program.run_forward({});
        for (std::size_t i = 0; i < static_cast<std::size_t>(batch); ++i) {
            const FeatureOrder::Item* const item = order.item(n, i);
            if (item == nullptr) break;
            if (item->file != written) {
                if (writer) writer->finish();
                writer.emplace(path_of(item->file), spec_of(item->file));
                written = item->file;
            }
            std::byte* to = record_.data();
            for (const Feature& feature : features_) {
                setup_.backend.copy_to_host(to, program.output(feature.name).data + i * feature.bytes,
                                            feature.bytes);
                to += feature.bytes;
            }
            writer->write(item->record, record_);
        }
    }
    writer->finish();
}

std::int64_t FeatureCache::symmetry_of(const device::SampleTransform& transform) const {
    for (std::int64_t symmetry = 0; symmetry < symmetries_; ++symmetry) {
        const device::SampleTransform other = data::whole_tile(symmetry, setup_.tiles.layout().edge);
        if (transform.xx == other.xx && transform.xy == other.xy && transform.x0 == other.x0 &&
            transform.yx == other.yx && transform.yy == other.yy && transform.y0 == other.y0) {
            return symmetry;
        }
    }
    TERRANE_ASSERT(false, "a sample is no symmetry of its tile");
    return 0;
}

void FeatureCache::fill(std::span<const data::SampleDraw> samples) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
        const std::int64_t tile = samples[i].tile;
        const std::int64_t record = tile % file_tiles * symmetries_ + symmetry_of(samples[i].transform);
        files_[static_cast<std::size_t>(tile / file_tiles)].read(record, record_);
        const std::byte* from = record_.data();
        for (std::size_t f = 0; f < features_.size(); ++f) {
            setup_.backend.copy_to_device(slots_[f].data + i * features_[f].bytes, from, features_[f].bytes);
            from += features_[f].bytes;
        }
    }
}

}  // namespace terrane::train
