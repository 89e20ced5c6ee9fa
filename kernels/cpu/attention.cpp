#include <omp.h>

#include <algorithm>
#include <array>

#include "cpu/attention_products.hpp"
#include "cpu/attention_rows.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/plan_support.hpp"
#include "cpu/plans.hpp"

/// Attention, one head of one sample per task: its queries, keys and values are copied to dense matrices,
/// then blocks of queries meet all keys. A thread needs memory for one block of scores, whatever the batch.
/// What a task computes does not depend on the thread that runs it.
namespace terrane::cpu {

namespace {

/// Scores that a block holds: a quarter of a usual second-level cache.
constexpr std::int64_t block_scores = 64 * 1024;
constexpr std::int64_t least_rows = 16;

/// One thread's memory.
template <typename C>
struct Scratch {
    Scratch(MemoryLayout& layout, std::int64_t rows, std::int64_t keys, std::int64_t width, bool backward,
            bool separate_weights, std::size_t scratchpad_bytes)
        : query(layout.take<C>(rows * width)),
          key(layout.take<C>(keys * width)),
          value(layout.take<C>(keys * width)),
          probabilities(layout.take<float>(rows * keys)),
          result(layout.take<float>(rows * width)),
          scratchpad(layout.take<std::byte>(static_cast<std::int64_t>(scratchpad_bytes))) {
        if (separate_weights) weights = layout.take<C>(rows * keys);
        if (!backward) return;
        dresult = layout.take<C>(rows * width);
        dprobabilities = layout.take<float>(rows * keys);
        dscores = layout.take<C>(rows * keys);
        dkey = layout.take<float>(keys * width);
        dvalue = layout.take<float>(keys * width);
    }

    C *query, *key, *value;
    float* probabilities;
    float* result;
    std::byte* scratchpad;
    C* weights = nullptr;  ///< probabilities as the products read them, where that is another matrix
    C* dresult = nullptr;
    float* dprobabilities = nullptr;
    C* dscores = nullptr;
    float *dkey = nullptr, *dvalue = nullptr;
};

template <typename T>
std::byte* bytes(T* elements) {
    return reinterpret_cast<std::byte*>(elements);
}
template <typename T>
const std::byte* bytes(const T* elements) {
    return reinterpret_cast<const std::byte*>(elements);
}

/// T: type of the tensors; C: type of the factors of the products.
template <typename T, typename C>
class AttentionPlan final : public device::OpPlan {
  public:
    static Offer make(const device::PlanRequest& request) {
        auto plan = std::unique_ptr<AttentionPlan>(new AttentionPlan(request));
        std::string refusal;
        if (!plan->prepare(refusal)) return Refusal{refusal};
        return plan;
    }

    std::string implementation() const override {
        return "dnnl:" + teams_.front().full->implementation() + "+openmp:" + name_of(isa());
    }

    void forward(const device::ForwardArguments& arguments) override {
        T* const y = arguments.outputs[0].as<T>();
        for_each_head(arguments.workspace, false, [&](Team& team, const Scratch<C>& scratch, Task task) {
            load_keys(arguments.inputs, scratch, task);
            for (std::int64_t first = 0; first < sizes_.queries; first += rows_) {
                const Block block = block_at(team, first);
                find_probabilities(arguments.inputs, scratch, task, block);
                const C* const weights = weigh(scratch, task, block, arguments.step);
                block.products->gather(bytes(weights), bytes(scratch.value), bytes(scratch.result),
                                       scratch.scratchpad);
                vectorised([&] {
                    copy_rows(scratch.result, sizes_.width, y + output_place(task, first), output_stride(),
                              block.rows, sizes_.width);
                });
            }
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        for_each_head(arguments.workspace, true, [&](Team& team, const Scratch<C>& scratch, Task task) {
            load_keys(arguments.inputs, scratch, task);
            std::fill_n(scratch.dkey, sizes_.keys * sizes_.width, 0.0f);
            std::fill_n(scratch.dvalue, sizes_.keys * sizes_.width, 0.0f);
            for (std::int64_t first = 0; first < sizes_.queries; first += rows_) {
                const Block block = block_at(team, first);
                find_probabilities(arguments.inputs, scratch, task, block);
                const C* const weights = weigh(scratch, task, block, arguments.step);
                vectorised([&] {
                    copy_rows(dy + output_place(task, first), output_stride(), scratch.dresult, sizes_.width,
                              block.rows, sizes_.width);
                });
                AttentionProducts& products = *block.products;
                products.scatter(bytes(weights), bytes(scratch.dresult), bytes(scratch.dvalue),
                                 scratch.scratchpad);
                products.across(bytes(scratch.dresult), bytes(scratch.value), bytes(scratch.dprobabilities),
                                scratch.scratchpad);
                if (drops()) {
                    drop(scratch.dprobabilities, scratch.dprobabilities, task, block, arguments.step);
                }
                vectorised([&] {
                    score_gradient_rows(scratch.probabilities, scratch.dprobabilities, scratch.dscores,
                                        block.rows, sizes_.keys, scale_);
                });
                products.scatter(bytes(scratch.dscores), bytes(scratch.query), bytes(scratch.dkey),
                                 scratch.scratchpad);
                if (const TensorView& target = arguments.input_gradients[sizes_.query.input].view) {
                    products.gather(bytes(scratch.dscores), bytes(scratch.key), bytes(scratch.result),
                                    scratch.scratchpad);
                    put_rows(target, sizes_.query, sizes_.queries, task, first, block.rows, scratch.result);
                }
            }
            if (const TensorView& target = arguments.input_gradients[sizes_.key.input].view) {
                put_rows(target, sizes_.key, sizes_.keys, task, 0, sizes_.keys, scratch.dkey);
            }
            if (const TensorView& target = arguments.input_gradients[sizes_.value.input].view) {
                put_rows(target, sizes_.value, sizes_.keys, task, 0, sizes_.keys, scratch.dvalue);
            }
        });
    }

  private:
    using Operand = ops::AttentionGeometry::Operand;
    /// One thread's primitives: for full blocks of queries and for the last one.
    struct Team {
        std::optional<AttentionProducts> full, last;
    };
    struct Task {
        std::int64_t sample, head;
    };
    struct Block {
        std::int64_t first, rows;
        AttentionProducts* products;
    };

    explicit AttentionPlan(const device::PlanRequest& request)
        : op_(std::get<ops::Attention>(request.descriptor.op)),
          sizes_(op_, request.descriptor.inputs),
          scale_(static_cast<float>(sizes_.scale)),
          trains_(wants_any_gradient(request)),
          inference_(request.mode == device::Mode::inference),
          threads_(omp_get_max_threads()) {
        // Blocks of equal size, so that the last one is not a sliver.
        const std::int64_t most = std::max(least_rows, block_scores / sizes_.keys);
        const std::int64_t blocks = (sizes_.queries + most - 1) / most;
        rows_ = (sizes_.queries + blocks - 1) / blocks;
    }

    bool prepare(std::string& refusal) {
        const auto passes = trains_ ? AttentionProducts::Passes::both : AttentionProducts::Passes::forward;
        const std::int64_t rest = sizes_.queries % rows_;
        for (int thread = 0; thread < threads_; ++thread) {
            Team team;
            const auto products = [&](std::int64_t rows) {
                return AttentionProducts::make(rows, sizes_.keys, sizes_.width, dtype_of<C>, passes, refusal);
            };
            team.full = products(rows_);
            if (!team.full) return false;
            if (rest > 0) {
                team.last = products(rest);
                if (!team.last) return false;
            }
            teams_.push_back(std::move(team));
        }
        const Team& team = teams_.front();
        scratchpad_bytes_ =
            std::max(team.full->scratchpad_bytes(), team.last ? team.last->scratchpad_bytes() : 0);
        requirements_.forward_workspace = static_cast<std::size_t>(threads_) * scratch_bytes(false);
        if (trains_)
            requirements_.backward_workspace = static_cast<std::size_t>(threads_) * scratch_bytes(true);
        return true;
    }

    bool drops() const { return !inference_ && op_.dropout > 0; }
    bool separate_weights() const { return !std::is_same_v<C, float> || drops(); }

    Scratch<C> scratch_in(MemoryLayout& layout, bool backward) const {
        return Scratch<C>(layout, rows_, sizes_.keys, sizes_.width, backward, separate_weights(),
                          scratchpad_bytes_);
    }
    std::size_t scratch_bytes(bool backward) const {
        MemoryLayout layout(nullptr);
        scratch_in(layout, backward);
        return layout.used();
    }

    template <typename Body>
    void for_each_head(std::byte* workspace, bool backward, const Body& body) {
        const std::size_t per_thread = scratch_bytes(backward);
        const std::int64_t tasks = sizes_.batch * sizes_.heads;
#pragma omp parallel for num_threads(threads_) schedule(static)
        for (std::int64_t task = 0; task < tasks; ++task) {
            const OneThread alone;
            const auto thread = static_cast<std::size_t>(omp_get_thread_num());
            MemoryLayout layout(workspace + thread * per_thread);
            body(teams_[thread], scratch_in(layout, backward),
                 Task{task / sizes_.heads, task % sizes_.heads});
        }
    }

    Block block_at(Team& team, std::int64_t first) const {
        const std::int64_t rows = std::min(rows_, sizes_.queries - first);
        return {first, rows, rows == rows_ ? &*team.full : &*team.last};
    }

    std::int64_t place(const Operand& operand, std::int64_t tokens, Task task, std::int64_t token) const {
        return (task.sample * tokens + token) * operand.stride + operand.offset + task.head * sizes_.width;
    }
    std::int64_t output_stride() const {
        return sizes_.heads * sizes_.width;
    }
    std::int64_t output_place(Task task, std::int64_t token) const {
        return (task.sample * sizes_.queries + token) * output_stride() + task.head * sizes_.width;
    }

    void load_rows(std::span<const TensorView> inputs, const Operand& operand, std::int64_t tokens, Task task,
                   std::int64_t first, std::int64_t rows, C* to) const {
        const T* const from = inputs[operand.input].template as<T>() + place(operand, tokens, task, first);
        vectorised([&] { copy_rows(from, operand.stride, to, sizes_.width, rows, sizes_.width); });
    }
    void load_keys(std::span<const TensorView> inputs, const Scratch<C>& scratch, Task task) const {
        load_rows(inputs, sizes_.key, sizes_.keys, task, 0, sizes_.keys, scratch.key);
        load_rows(inputs, sizes_.value, sizes_.keys, task, 0, sizes_.keys, scratch.value);
    }
    void put_rows(const TensorView& target, const Operand& operand, std::int64_t tokens, Task task,
                  std::int64_t first, std::int64_t rows, const float* from) const {
        T* const to = target.as<T>() + place(operand, tokens, task, first);
        vectorised([&] { copy_rows(from, sizes_.width, to, operand.stride, rows, sizes_.width); });
    }

    void find_probabilities(std::span<const TensorView> inputs, const Scratch<C>& scratch, Task task,
                            const Block& block) const {
        load_rows(inputs, sizes_.query, sizes_.queries, task, block.first, block.rows, scratch.query);
        block.products->across(bytes(scratch.query), bytes(scratch.key), bytes(scratch.probabilities),
                               scratch.scratchpad);
        vectorised([&] { softmax_rows(scratch.probabilities, block.rows, sizes_.keys, scale_); });
    }

    /// The probabilities as factors of the product with the values: dropped and rounded where asked for.
    const C* weigh(const Scratch<C>& scratch, Task task, const Block& block,
                   const device::StepState* step) const {
        if (drops()) {
            drop(scratch.probabilities, scratch.weights, task, block, step);
            return scratch.weights;
        }
        if constexpr (std::is_same_v<C, float>) {
            return scratch.probabilities;
        } else {
            const std::int64_t count = block.rows * sizes_.keys;
            vectorised([&] { copy_rows(scratch.probabilities, count, scratch.weights, count, 1, count); });
            return scratch.weights;
        }
    }

    template <typename Y>
    void drop(const float* from, Y* to, Task task, const Block& block, const device::StepState* step) const {
        const std::int64_t per_sample = sizes_.heads * sizes_.queries * sizes_.keys;
        const std::int64_t first = (task.head * sizes_.queries + block.first) * sizes_.keys;
        const Draw draw{step->seed, op_.stream, step->step, step->first_sample + task.sample,
                        per_sample, op_.dropout};
        const auto kept = static_cast<float>(1.0 / (1.0 - op_.dropout));
        vectorised([&] { drop_row(from, to, draw, first, block.rows * sizes_.keys, kept); });
    }

    ops::Attention op_;
    ops::AttentionGeometry sizes_;
    float scale_;
    bool trains_, inference_;
    int threads_;
    std::int64_t rows_ = 1;
    std::size_t scratchpad_bytes_ = 0;
    std::vector<Team> teams_;
};

Offer make_attention(const device::PlanRequest& request) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return AttentionPlan<float, float>::make(request);
    if (dtype != DType::bf16) {
        return Refusal{"it computes on f32 and bf16, not on " + std::string(terrane::name_of(dtype))};
    }
    Offer offer = AttentionPlan<bfloat16, bfloat16>::make(request);
    // Machines without bf16 arithmetic multiply f32 copies.
    if (std::holds_alternative<Refusal>(offer)) return AttentionPlan<bfloat16, float>::make(request);
    return offer;
}

constexpr std::array attention_candidates{Candidate{"tiles", make_attention}};

}  // namespace

std::span<const Candidate> candidates(const ops::Attention&) {
    return attention_candidates;
}

}  // namespace terrane::cpu
