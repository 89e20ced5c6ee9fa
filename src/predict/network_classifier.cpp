#include "predict/network_classifier.hpp"

#include <algorithm>

#include "nets/network.hpp"

namespace terrane::predict {

namespace {

nets::NetworkInputs inputs_of(const ClassifierDesign& design) {
    nets::NetworkInputs inputs;
    for (const ClassifierModality& modality : design.modalities) {
        inputs.modalities.push_back({modality.layout.name, modality.layout.bands, modality.layout.scale});
    }
    inputs.classes = design.classes;
    inputs.batch = design.batch;
    inputs.height = design.window;
    inputs.width = design.window;
    return inputs;
}

TensorView sample_of(const TensorView& batch, std::int64_t index) {
    const Shape& shape = batch.shape();
    const TensorSpec spec{batch.dtype(), Shape{shape[1], shape[2], shape[3]}};
    return {batch.data + static_cast<std::size_t>(index) * spec.bytes(), spec};
}

TensorView view_of(std::span<const std::uint8_t> values, const TensorSpec& spec) {
    // Kernels take one view type for reading and writing.
    auto* data = reinterpret_cast<std::byte*>(const_cast<std::uint8_t*>(values.data()));
    TERRANE_ASSERT(values.size() >= spec.bytes(), "{} bytes for {}", values.size(), spec.shape.text());
    return {data, spec};
}

}  // namespace

NetworkClassifier::NetworkClassifier(ClassifierDesign design, device::Backend& backend)
    : design_(std::move(design)), backend_(backend), keys_(static_cast<std::size_t>(design_.batch)) {
    recipe::Design built;
    built.model = design_.model;
    built.inputs = inputs_of(design_);
    built.task = nets::Task::predict;
    built.compute = design_.compute;
    built.crop = design_.crop;
    store_.emplace(backend, recipe::parameter_graph(built));
    inference_ = recipe::make_inference(built, {backend, *store_, alone_});
    for (const ClassifierModality& modality : design_.modalities) {
        inputs_.push_back(inference_->input(modality.layout.name));
    }
    presence_ = inference_->input("presence");
    output_ = inference_->probabilities();
    symmetries_ = window_symmetries(design_.symmetries, design_.window);
    probabilities_.assign(static_cast<std::size_t>(output_.elements()), 0.0f);
    if (symmetries_.size() > 1) turned_.assign(probabilities_.size(), 0.0f);
}

void NetworkClassifier::bind(const SceneSource& source) {
    origins_.assign(design_.modalities.size(), {});
    std::size_t most = 0;
    bool any = false;
    for (std::size_t m = 0; m < design_.modalities.size(); ++m) {
        const data::ModalityLayout& trained = design_.modalities[m].layout;
        for (std::size_t s = 0; s < source.modalities().size(); ++s) {
            const SourceModality& offered = source.modalities()[s];
            if (offered.name != trained.name) continue;
            if (offered.bands != trained.bands || offered.scale != trained.scale) {
                throw Error(
                    ExitCode::data_invalid, 545,
                    fmt::format("modality '{}' has {} bands at scale {}, but the network was trained on {} "
                                "bands at scale {}.",
                                trained.name, offered.bands, offered.scale, trained.bands, trained.scale),
                    "Choose the same bands with bands=[…] in [[modality]], and the same scale.");
            }
            origins_[m] = {s, offered.dtype};
            any = true;
        }
        const std::int64_t edge = design_.window / trained.scale;
        most = std::max(most,
                        static_cast<std::size_t>(edge * edge * trained.bands) * size_of(origins_[m].stored));
    }
    if (!any) {
        throw Error(ExitCode::data_invalid, 545,
                    "the scene has none of the modalities that the network was trained on.",
                    "Name the [[modality]] tables as for the training.");
    }
    nothing_.assign(most, 0);
}

std::size_t NetworkClassifier::bytes() const {
    const auto pixels = static_cast<std::size_t>(design_.window * design_.window);
    return inference_->bytes() + store_->parameter_bytes() +
           (probabilities_.size() + turned_.size()) * sizeof(float) +
           symmetries_.size() * pixels * sizeof(std::int32_t) + nothing_.size();
}

std::span<const float> NetworkClassifier::classify(const WindowBatch& batch) {
    TERRANE_ASSERT(static_cast<std::int64_t>(batch.windows().size()) <= design_.batch,
                   "{} windows for a batch of {}", batch.windows().size(), design_.batch);
    TERRANE_ASSERT(!origins_.empty(), "no scene is bound");
    const std::size_t count = batch.windows().size();
    for (std::size_t i = 0; i < count; ++i)
        keys_[i] = batch.windows()[i].row << 32 | batch.windows()[i].column;
    const bool several = symmetries_.size() > 1;
    if (several) std::ranges::fill(probabilities_, 0.0f);
    for (const WindowSymmetry& symmetry : symmetries_) {
        for (std::size_t i = 0; i < count; ++i)
            assemble(static_cast<std::int64_t>(i), batch.windows()[i], symmetry.transform);
        inference_->run(design_.seed, keys_);
        output_ = inference_->probabilities();
        std::vector<float>& answer = several ? turned_ : probabilities_;
        backend_.copy_to_host(reinterpret_cast<std::byte*>(answer.data()), output_.data, output_.bytes());
        if (several) add(symmetry, count);
    }
    return probabilities_;
}

void NetworkClassifier::add(const WindowSymmetry& symmetry, std::size_t count) {
    const auto classes = static_cast<std::size_t>(design_.classes);
    const std::size_t pixels = symmetry.pixels.size();
    const float share = 1.0f / static_cast<float>(symmetries_.size());
    for (std::size_t window = 0; window < count; ++window) {
        const float* from = turned_.data() + window * pixels * classes;
        float* to = probabilities_.data() + window * pixels * classes;
        for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
            float* sum = to + static_cast<std::size_t>(symmetry.pixels[pixel]) * classes;
            for (std::size_t c = 0; c < classes; ++c) sum[c] += share * *from++;
        }
    }
}

void NetworkClassifier::assemble(std::int64_t place, const InputWindow& input,
                                 const device::SampleTransform& transform) {
    const std::size_t count = design_.modalities.size();
    for (std::size_t m = 0; m < count; ++m) {
        const ClassifierModality& modality = design_.modalities[m];
        const Origin& origin = origins_[m];
        const std::int64_t edge = design_.window / modality.layout.scale;
        const TensorSpec values{origin.stored, Shape{edge, edge, modality.layout.bands}};
        const TensorSpec mask{DType::u8, Shape{edge, edge}};
        const InputTile* tile = origin.source ? &input.modalities[*origin.source] : nullptr;
        const bool present = tile != nullptr && tile->valid_pixels > 0;

        device::ModalitySample sample;
        sample.tile = present ? TensorView{tile->values.data(), values} : view_of(nothing_, values);
        sample.validity = view_of(present ? std::span<const std::uint8_t>(tile->validity) : nothing_, mask);
        sample.scale = modality.layout.scale;
        sample.bands = modality.layout.normalisation;
        if (present && modality.base)
            sample.base = modality.base(tile->values, tile->validity, origin.stored);
        sample.output = sample_of(inputs_[m], place);
        backend_.sample_kernels().assemble(sample, transform);
        const float flag = present ? 1.0f : 0.0f;
        const std::size_t at = (static_cast<std::size_t>(place) * count + m) * sizeof(float);
        backend_.copy_to_device(presence_.data + at, reinterpret_cast<const std::byte*>(&flag), sizeof(flag));
    }
}

}  // namespace terrane::predict
