#pragma once

#include <cstdint>
#include <span>

#include "data/augmentation.hpp"
#include "data/batch_plan.hpp"
#include "data/sampler.hpp"

namespace terrane::data {

/// What the n-th batch of a rank holds. Called from the feeder's thread, in order; const and without state.
class SampleOrder {
  public:
    virtual ~SampleOrder() = default;
    /// Fills one entry per place of the batch.
    virtual void fill(std::int64_t batch, std::span<SampleDraw> samples) const = 0;
    /// Number of batches; -1: endless.
    virtual std::int64_t batches() const = 0;
    /// Edge of the assembled samples in reference pixels.
    virtual std::int64_t crop() const = 0;
};

/// A rank's micro-batches of an endless training run: batch n is micro-step n % micro_steps of optimizer step
/// n / micro_steps. Refers to the sampler and the augmentation.
class TrainingOrder final : public SampleOrder {
  public:
    TrainingOrder(const Sampler& sampler, const Augmentation& augmentation, const BatchPlan& plan,
                  std::int64_t rank)
        : sampler_(sampler), augmentation_(augmentation), plan_(plan), rank_(rank) {}

    void fill(std::int64_t batch, std::span<SampleDraw> samples) const override;
    std::int64_t batches() const override { return -1; }
    std::int64_t crop() const override { return augmentation_.crop(); }

  private:
    const Sampler& sampler_;
    const Augmentation& augmentation_;
    BatchPlan plan_;
    std::int64_t rank_;
};

/// A rank's batches of an evaluation: all tiles in order, whole and unchanged, tile t in global batch
/// t / (ranks * batch). Each tile occurs exactly once over all ranks; places past the last tile stay empty.
/// Every rank has the same number of batches, so that collectives within a batch match.
class EvaluationOrder final : public SampleOrder {
  public:
    EvaluationOrder(const TileLayout& layout, std::int64_t tiles, std::int64_t batch, std::int64_t rank,
                    std::int64_t ranks);

    void fill(std::int64_t batch, std::span<SampleDraw> samples) const override;
    std::int64_t batches() const override { return (tiles_ + ranks_ * batch_ - 1) / (ranks_ * batch_); }
    std::int64_t crop() const override { return edge_; }

  private:
    std::int64_t edge_;
    std::size_t modalities_;
    std::int64_t tiles_, batch_, rank_, ranks_;
};

}  // namespace terrane::data
