#include <omp.h>

#include <algorithm>
#include <array>
#include <optional>

#include "cpu/attention_products.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/plans.hpp"
#include "cpu/rectification_rows.hpp"
#include "formulas/class_loss.hpp"
#include "formulas/rectification.hpp"

/// The localization rectification loss, one sample after another, so that memory does not grow with the
/// batch: blocks of queries meet all keys, each block in one thread. Backward computes the similarities anew,
/// once by blocks of queries (their own gradients) and once by blocks of keys (what is summed over the
/// queries), so that every sum has one thread and a fixed order. A block of background tokens costs only its
/// residual.
namespace terrane::cpu {

namespace {

/// Similarities that a block of queries holds.
constexpr std::int64_t block_similarities = 128 * 1024;
constexpr std::int64_t most_rows = 64;
constexpr std::int64_t least_rows = 8;

const std::byte* bytes(const float* elements) {
    return reinterpret_cast<const std::byte*>(elements);
}
std::byte* bytes(float* elements) {
    return reinterpret_cast<std::byte*>(elements);
}

/// One thread's products of a block of queries: with all keys, with a block of keys, with the last, shorter
/// one. `width`: queries with keys; `channels`: features with features.
struct Products {
    struct Pair {
        std::optional<AttentionProducts> width, channels;
    };
    Pair all, block, last;
};

template <typename T>
class LocalizationRectificationPlan final : public device::OpPlan {
  public:
    static Offer make(const device::PlanRequest& request) {
        std::unique_ptr<LocalizationRectificationPlan> plan(new LocalizationRectificationPlan(request));
        std::string refusal;
        if (!plan->prepare(refusal)) return Refusal{refusal};
        return plan;
    }

    std::string implementation() const override {
        return "dnnl:" + teams_.front().full.all.width->implementation() + "+openmp:" + name_of(isa());
    }

    void forward(const device::ForwardArguments& arguments) override {
        double* const output = arguments.outputs[0].as<double>();
        if (arguments.phase == device::Phase::after_exchange) {
            const double share = formulas::share_of_samples(arguments.exchange[0], arguments.exchange[1]);
            output[0] *= share;
            if (trains_) *reinterpret_cast<double*>(arguments.saved) = share;
            return;
        }
        const Workspace workspace(arguments.workspace, *this, Direction::forward);
        double sum = 0, entries = 0;
        for (std::int64_t n = 0; n < batch_; ++n) {
            const Sample sample = enter(arguments.inputs, workspace, n);
            for_each_block(workspace, Direction::forward,
                           [&](Team& team, const Scratch& scratch, const Block& block) {
                               rectify(sample, team, scratch, block);
                               vectorised([&] {
                                   residual_rows(sample.x + block.first * channels_, scratch.foreground,
                                                 sample.gamma, scratch.rectified, block.rows, channels_);
                                   workspace.squares[block.index] =
                                       square_totals(scratch.rectified, block.rows, channels_);
                               });
                           });
            for (std::int64_t block = 0; block < blocks_; ++block) {
                sum += workspace.squares[block].squares;
                entries += workspace.squares[block].entries;
            }
        }
        output[0] = sum;
        output[1] = static_cast<double>(batch_);
        arguments.exchange[0] = entries;
        arguments.exchange[1] = output[1];
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Workspace workspace(arguments.workspace, *this, Direction::backward);
        const double share = *reinterpret_cast<const double*>(arguments.saved);
        const auto factor = static_cast<float>(2 * op_.loss_weight * share);
        T* const dx = optional<T>(arguments.input_gradients[0].view);
        T* const dquery = optional<T>(arguments.input_gradients[1].view);
        T* const dkey = optional<T>(arguments.input_gradients[2].view);
        double gamma_sum = 0;
        for (std::int64_t n = 0; n < batch_; ++n) {
            const Sample sample = enter(arguments.inputs, workspace, n);
            const auto row_of = [&](T* gradient, std::int64_t token, std::int64_t width) {
                return gradient == nullptr ? nullptr : gradient + (n * tokens_ + token) * width;
            };
            for_each_block(workspace, Direction::backward,
                           [&](Team& team, const Scratch& scratch, const Block& block) {
                               by_queries(sample, workspace, team, scratch, block, factor,
                                          row_of(dquery, block.first, width_));
                           });
            for (std::int64_t block = 0; block < blocks_; ++block) gamma_sum += workspace.gamma[block];
            if (dx == nullptr && dkey == nullptr) continue;
            for_each_block(workspace, Direction::backward,
                           [&](Team& team, const Scratch& scratch, const Block& block) {
                               by_keys(sample, workspace, team, scratch, block,
                                       row_of(dx, block.first, channels_), row_of(dkey, block.first, width_));
                           });
        }
        const device::GradientTarget& dgamma = arguments.input_gradients[3];
        if (dgamma.view) put(*dgamma.view.as<float>(), gamma_sum, dgamma.write);
    }

  private:
    enum class Direction { forward, backward };

    /// Tokens [first, first + rows).
    struct Block {
        std::int64_t index, first, rows;
        bool full;
    };
    struct Team {
        Products full, last;
        Products& of(const Block& block) { return block.full ? full : last; }
    };
    static Products::Pair& against(Products& products, const Block& keys) {
        return keys.full ? products.block : products.last;
    }

    /// One thread's memory.
    struct Scratch {
        float *unit, *scale;        ///< normalised queries of a block
        float* similarity;          ///< [rows, tokens]
        float* rectified;           ///< [rows, channels]
        float *share, *foreground;  ///< per row: 1 / sum of exponentials; 1, or 0 for background
        std::byte* scratchpad;
        float *slope = nullptr, *dx = nullptr, *dunit = nullptr;

        Scratch(MemoryLayout& memory, const LocalizationRectificationPlan& plan, Direction direction)
            : unit(memory.take<float>(plan.rows_ * plan.width_)),
              scale(memory.take<float>(plan.rows_)),
              similarity(memory.take<float>(plan.rows_ * plan.tokens_)),
              rectified(memory.take<float>(plan.rows_ * plan.channels_)),
              share(memory.take<float>(plan.rows_)),
              foreground(memory.take<float>(plan.rows_)),
              scratchpad(memory.take<std::byte>(static_cast<std::int64_t>(plan.scratchpad_bytes_))) {
            if (direction == Direction::forward) return;
            slope = memory.take<float>(plan.rows_ * plan.tokens_);
            dx = memory.take<float>(plan.rows_ * plan.channels_);
            dunit = memory.take<float>(plan.rows_ * plan.width_);
        }
    };
    /// What the threads share about one sample.
    struct Workspace {
        float *keys, *key_scale;  ///< normalised keys
        float* features;          ///< an f32 copy, where the tensor is not f32
        SquareTotals* squares;    ///< per block
        float* dresidual = nullptr;
        float *share = nullptr, *foreground = nullptr, *mean = nullptr;  ///< per query
        double* gamma = nullptr;                                         ///< per block
        bool* attends = nullptr;  ///< per block: whether any token is foreground
        std::byte* threads;
        std::size_t per_thread, bytes;

        Workspace(std::byte* memory, const LocalizationRectificationPlan& plan, Direction direction) {
            MemoryLayout layout(memory);
            keys = layout.take<float>(plan.tokens_ * plan.width_);
            key_scale = layout.take<float>(plan.tokens_);
            features = std::is_same_v<T, float> ? nullptr : layout.take<float>(plan.tokens_ * plan.channels_);
            squares = layout.take<SquareTotals>(plan.blocks_);
            if (direction == Direction::backward) {
                dresidual = layout.take<float>(plan.tokens_ * plan.channels_);
                share = layout.take<float>(plan.tokens_);
                foreground = layout.take<float>(plan.tokens_);
                mean = layout.take<float>(plan.tokens_);
                gamma = layout.take<double>(plan.blocks_);
                attends = layout.take<bool>(plan.blocks_);
            }
            MemoryLayout own(nullptr);
            Scratch(own, plan, direction);
            per_thread = own.used();
            threads = layout.take<std::byte>(static_cast<std::int64_t>(per_thread) * plan.threads_);
            bytes = layout.used();
        }
    };
    struct Sample {
        const float* x;  ///< [tokens, channels]
        const T* query;  ///< [tokens, width]
        const float *keys, *key_scale;
        float gamma;
        const std::uint8_t* map;
    };

    explicit LocalizationRectificationPlan(const device::PlanRequest& request)
        : op_(std::get<ops::LocalizationRectification>(request.descriptor.op)),
          grid_(request.descriptor.inputs[0].shape),
          map_(request.descriptor.inputs[4].shape),
          batch_(grid_.batch()),
          tokens_(grid_.height() * grid_.width()),
          channels_(grid_.channels()),
          width_(request.descriptor.inputs[1].shape.channels()),
          trains_(wants_any_gradient(request)),
          threads_(omp_get_max_threads()) {
        // Blocks of equal size, so that the last one is not a sliver.
        const std::int64_t most = std::clamp(block_similarities / tokens_, least_rows, most_rows);
        blocks_ = (tokens_ + most - 1) / most;
        rows_ = (tokens_ + blocks_ - 1) / blocks_;
        blocks_ = (tokens_ + rows_ - 1) / rows_;
        requirements_.forward_exchange = 2;
        if (trains_) requirements_.saved = sizeof(double);
    }

    bool prepare(std::string& refusal) {
        using Passes = AttentionProducts::Passes;
        const std::int64_t rest = tokens_ % rows_;
        bool offered = true;
        const auto pair = [&](std::int64_t rows, std::int64_t keys, Passes passes, Products::Pair& into) {
            into.width = AttentionProducts::make(rows, keys, width_, DType::f32, passes, refusal);
            into.channels = AttentionProducts::make(rows, keys, channels_, DType::f32, passes, refusal);
            offered = offered && into.width && into.channels;
            if (!offered) return;
            scratchpad_bytes_ = std::max(
                {scratchpad_bytes_, into.width->scratchpad_bytes(), into.channels->scratchpad_bytes()});
        };
        const auto products = [&](std::int64_t rows, Products& into) {
            pair(rows, tokens_, Passes::forward, into.all);
            if (trains_) pair(rows, rows_, Passes::both, into.block);
            if (trains_ && rest > 0) pair(rows, rest, Passes::both, into.last);
        };
        for (int thread = 0; thread < threads_ && offered; ++thread) {
            teams_.emplace_back();
            products(rows_, teams_.back().full);
            if (rest > 0) products(rest, teams_.back().last);
        }
        if (!offered) return false;
        requirements_.forward_workspace = Workspace(nullptr, *this, Direction::forward).bytes;
        if (trains_) requirements_.backward_workspace = Workspace(nullptr, *this, Direction::backward).bytes;
        return true;
    }

    Block block_at(std::int64_t index) const {
        const std::int64_t first = index * rows_;
        const std::int64_t rows = std::min(rows_, tokens_ - first);
        return {index, first, rows, rows == rows_};
    }

    template <typename Body>
    void for_each_block(const Workspace& workspace, Direction direction, const Body& body) {
#pragma omp parallel for num_threads(threads_) schedule(static)
        for (std::int64_t index = 0; index < blocks_; ++index) {
            const OneThread alone;
            const auto thread = static_cast<std::size_t>(omp_get_thread_num());
            MemoryLayout memory(workspace.threads + thread * workspace.per_thread);
            body(teams_[thread], Scratch(memory, *this, direction), block_at(index));
        }
    }

    /// Normalises the keys of sample n and copies its features where needed.
    Sample enter(std::span<const TensorView> inputs, const Workspace& workspace, std::int64_t n) {
        const T* const x = inputs[0].as<T>() + n * tokens_ * channels_;
        const T* const key = inputs[2].as<T>() + n * tokens_ * width_;
        parallel_blocks(blocks_, tokens_ * width_ * 8, [&](std::int64_t index) {
            const Block block = block_at(index);
            vectorised([&] {
                normalise_rows(key + block.first * width_, block.rows, width_, epsilon,
                               workspace.keys + block.first * width_, workspace.key_scale + block.first);
                if constexpr (!std::is_same_v<T, float>) {
                    const std::int64_t first = block.first * channels_;
#pragma omp simd
                    for (std::int64_t i = 0; i < block.rows * channels_; ++i) {
                        workspace.features[first + i] = load(x + first + i);
                    }
                }
            });
        });
        Sample sample{nullptr,
                      inputs[1].as<T>() + n * tokens_ * width_,
                      workspace.keys,
                      workspace.key_scale,
                      *inputs[3].as<float>(),
                      inputs[4].as<std::uint8_t>() + n * map_[1] * map_[2]};
        if constexpr (std::is_same_v<T, float>) {
            sample.x = x;
        } else {
            sample.x = workspace.features;
        }
        return sample;
    }

    void normalise_queries(const Sample& sample, const Scratch& scratch, const Block& block) const {
        vectorised([&] {
            normalise_rows(sample.query + block.first * width_, block.rows, width_, epsilon, scratch.unit,
                           scratch.scale);
        });
    }

    /// Leaves which tokens of a block are foreground, its similarities (each row's sum is 1) and the
    /// rectified features; false, with the first only, if all tokens are background.
    bool rectify(const Sample& sample, Team& team, const Scratch& scratch, const Block& block) {
        bool any = false;
        for (std::int64_t row = 0; row < block.rows; ++row) {
            const std::int64_t token = block.first + row;
            const bool foreground = formulas::is_foreground_token(
                sample.map, map_[1], map_[2], token / grid_.width(), token % grid_.width(), grid_.height(),
                grid_.width(), op_.background);
            scratch.foreground[row] = foreground ? 1.0f : 0.0f;
            any = any || foreground;
        }
        if (!any) return false;
        Products::Pair& products = team.of(block).all;
        normalise_queries(sample, scratch, block);
        products.width->across(bytes(scratch.unit), bytes(sample.keys), bytes(scratch.similarity),
                               scratch.scratchpad);
        vectorised([&] {
            exponentiate_rows(scratch.similarity, block.rows, tokens_, scratch.share);
            scale_rows(scratch.similarity, block.rows, tokens_, scratch.share);
        });
        products.channels->gather(bytes(scratch.similarity), bytes(sample.x), bytes(scratch.rectified),
                                  scratch.scratchpad);
        return true;
    }

    /// The gradients that belong to the block's queries: slopes by the residuals and gamma, dquery; leaves
    /// what by_keys() needs about them.
    void by_queries(const Sample& sample, const Workspace& workspace, Team& team, const Scratch& scratch,
                    const Block& block, float factor, T* dquery) {
        const bool attends = rectify(sample, team, scratch, block);
        const std::int64_t count = block.rows * channels_;
        float* const dresidual = workspace.dresidual + block.first * channels_;
        workspace.attends[block.index] = attends;
        workspace.gamma[block.index] = 0;
        if (attends) std::copy_n(scratch.rectified, count, scratch.dx);
        vectorised([&] {
            residual_rows(sample.x + block.first * channels_, scratch.foreground, sample.gamma,
                          scratch.rectified, block.rows, channels_);
        });
        std::copy_n(scratch.rectified, count, dresidual);
        vectorised([&] { scale(dresidual, count, factor); });
        if (!attends) {
            if (dquery != nullptr) std::fill_n(dquery, block.rows * width_, T{});
            return;
        }
        Products::Pair& products = team.of(block).all;
        float* const mean = workspace.mean + block.first;
        std::copy_n(scratch.share, block.rows, workspace.share + block.first);
        std::copy_n(scratch.foreground, block.rows, workspace.foreground + block.first);
        vectorised([&] {
            workspace.gamma[block.index] =
                -foreground_product(dresidual, scratch.dx, scratch.foreground, block.rows, channels_);
            rectified_slope_rows(dresidual, scratch.foreground, sample.gamma, scratch.rectified, block.rows,
                                 channels_);
        });
        products.channels->across(bytes(scratch.rectified), bytes(sample.x), bytes(scratch.slope),
                                  scratch.scratchpad);
        vectorised([&] {
            mean_slope_rows(scratch.similarity, scratch.slope, block.rows, tokens_, mean);
            cosine_slope_rows(scratch.similarity, scratch.slope, block.rows, tokens_, mean);
        });
        if (dquery == nullptr) return;
        products.width->gather(bytes(scratch.slope), bytes(sample.keys), bytes(scratch.dunit),
                               scratch.scratchpad);
        vectorised([&] {
            unit_gradient_rows(scratch.unit, scratch.scale, scratch.dunit, block.rows, width_, dquery);
        });
    }

    /// The gradients that belong to the block's tokens as keys and as features.
    void by_keys(const Sample& sample, const Workspace& workspace, Team& team, const Scratch& scratch,
                 const Block& keys, T* dx, T* dkey) {
        std::fill_n(scratch.dx, keys.rows * channels_, 0.0f);
        std::fill_n(scratch.dunit, keys.rows * width_, 0.0f);
        const float* const unit_keys = sample.keys + keys.first * width_;
        const float* const features = sample.x + keys.first * channels_;
        for (std::int64_t index = 0; index < blocks_; ++index) {
            if (!workspace.attends[index]) continue;
            const Block queries = block_at(index);
            Products::Pair& products = against(team.of(queries), keys);
            normalise_queries(sample, scratch, queries);
            products.width->across(bytes(scratch.unit), bytes(unit_keys), bytes(scratch.similarity),
                                   scratch.scratchpad);
            vectorised([&] {
                const std::int64_t count = queries.rows * keys.rows;
#pragma omp simd
                for (std::int64_t i = 0; i < count; ++i)
                    scratch.similarity[i] = exponential(scratch.similarity[i]);
                scale_rows(scratch.similarity, queries.rows, keys.rows, workspace.share + queries.first);
                rectified_slope_rows(workspace.dresidual + queries.first * channels_,
                                     workspace.foreground + queries.first, sample.gamma, scratch.rectified,
                                     queries.rows, channels_);
            });
            products.channels->scatter(bytes(scratch.similarity), bytes(scratch.rectified), bytes(scratch.dx),
                                       scratch.scratchpad);
            products.channels->across(bytes(scratch.rectified), bytes(features), bytes(scratch.slope),
                                      scratch.scratchpad);
            vectorised([&] {
                cosine_slope_rows(scratch.similarity, scratch.slope, queries.rows, keys.rows,
                                  workspace.mean + queries.first);
            });
            products.width->scatter(bytes(scratch.slope), bytes(scratch.unit), bytes(scratch.dunit),
                                    scratch.scratchpad);
        }
        vectorised([&] {
            if (dx != nullptr) {
                combine(scratch.dx, workspace.dresidual + keys.first * channels_, keys.rows * channels_, dx);
            }
            if (dkey != nullptr) {
                unit_gradient_rows(unit_keys, sample.key_scale + keys.first, scratch.dunit, keys.rows, width_,
                                   dkey);
            }
        });
    }

    static constexpr auto epsilon = static_cast<float>(ops::LocalizationRectification::epsilon);

    ops::LocalizationRectification op_;
    Shape grid_, map_;
    std::int64_t batch_, tokens_, channels_;
    std::int64_t width_;  ///< channels of queries and keys
    bool trains_;
    int threads_;
    std::int64_t rows_ = 1, blocks_ = 1;  ///< tokens of a block, blocks of a sample
    std::size_t scratchpad_bytes_ = 0;
    std::vector<Team> teams_;  ///< per thread
};

Offer make_localization_rectification(const device::PlanRequest& request) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return LocalizationRectificationPlan<float>::make(request);
    if (dtype == DType::bf16) return LocalizationRectificationPlan<bfloat16>::make(request);
    return Refusal{"it computes on f32 and bf16, not on " + std::string(terrane::name_of(dtype))};
}

constexpr std::array rectification_candidates{Candidate{"tiles", make_localization_rectification}};

}  // namespace

std::span<const Candidate> candidates(const ops::LocalizationRectification&) {
    return rectification_candidates;
}

}  // namespace terrane::cpu
