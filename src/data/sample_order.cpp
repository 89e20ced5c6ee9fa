#include "data/sample_order.hpp"

namespace terrane::data {

void TrainingOrder::fill(std::int64_t batch, std::span<SampleDraw> samples) const {
    const std::int64_t step = batch / plan_.micro_steps;
    const std::int64_t micro_step = batch % plan_.micro_steps;
    std::int64_t sample = step * plan_.global_batch() + plan_.first_sample(rank_, micro_step);
    for (SampleDraw& draw : samples) {
        draw.tile = sampler_.tile(sample);
        augmentation_.draw(sample, draw);
        ++sample;
    }
}

EvaluationOrder::EvaluationOrder(const TileLayout& layout, std::int64_t tiles, std::int64_t batch,
                                 std::int64_t rank, std::int64_t ranks)
    : edge_(layout.edge),
      modalities_(layout.modalities.size()),
      tiles_(tiles),
      batch_(batch),
      rank_(rank),
      ranks_(ranks) {}

void EvaluationOrder::fill(std::int64_t batch, std::span<SampleDraw> samples) const {
    std::int64_t tile = (batch * ranks_ + rank_) * batch_;
    for (SampleDraw& draw : samples) {
        draw.tile = tile < tiles_ ? tile : -1;
        draw.transform = {};
        draw.modalities.assign(modalities_, ModalityDraw{});
        ++tile;
    }
}

}  // namespace terrane::data
