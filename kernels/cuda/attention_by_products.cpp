#include "cuda/attention_by_products.hpp"

#include "cuda/attention_rows.hpp"
#include "cuda/plan.hpp"

namespace terrane::cuda {

namespace {

using Geometry = ops::AttentionGeometry;

std::int64_t leading_of(const Geometry& geometry) {
    return (geometry.keys + keys_per_pack - 1) / keys_per_pack * keys_per_pack;
}
std::int64_t head_bytes(const Geometry& geometry) {
    return geometry.queries * leading_of(geometry) * static_cast<std::int64_t>(sizeof(float));
}
std::int64_t largest_divisor(std::int64_t number, std::int64_t most) {
    std::int64_t divisor = std::clamp<std::int64_t>(most, 1, number);
    while (number % divisor != 0) --divisor;
    return divisor;
}

/// Which samples and heads are worked on at a time: all groups have one size. Operands lie in rows per token,
/// so that the distance between matrices is one between heads or one between samples: a product has one of
/// the two as its batch, the larger, and runs once per index of the other.
struct Groups {
    std::int64_t samples = 1, heads;
    bool batch_is_heads;

    Groups(const Geometry& geometry, std::int64_t most_bytes) {
        const std::int64_t fit = most_bytes / head_bytes(geometry);
        heads = largest_divisor(geometry.heads, fit);
        if (heads == geometry.heads) samples = largest_divisor(geometry.batch, fit / heads);
        batch_is_heads = heads >= samples;
    }
    std::int64_t batch() const { return batch_is_heads ? heads : samples; }
    std::int64_t calls() const { return batch_is_heads ? samples : heads; }
};

/// Memory whose matrices, of one sample and head, are reached by three strides in elements.
struct Matrices {
    std::int64_t offset, sample, head, leading;

    /// As a product reads or writes them. The alignment is that of every address among them.
    Placement placement(const Groups& groups, std::int64_t element_bytes) const {
        int alignment = 16;
        for (const std::int64_t distance : {offset, sample, head, leading}) {
            while (distance * element_bytes % alignment != 0) alignment /= 2;
        }
        return {leading, groups.batch_is_heads ? head : sample, alignment};
    }
    std::int64_t between_calls(const Groups& groups) const { return groups.batch_is_heads ? sample : head; }
};

/// One matrix after the other, as a product is called for them.
struct Part {
    std::byte* first;
    std::int64_t step;  ///< bytes from call to call
};

/// Saved: the log of the sum of exponentials per query, then what dropout keeps, a bit per probability, which
/// costs less than to draw it again. Workspaces: the scores of a group, then its probabilities; backward also
/// the slopes, then the scores' gradients; of f32 the second of each pair in place of the first; then the
/// products' own.
template <typename T>
class AttentionByProducts final : public KernelPlan<ops::Attention> {
  public:
    AttentionByProducts(const ops::Attention& op, const device::PlanRequest& request, Queue queue,
                        const MakeProduct& make_product, std::int64_t group_scores)
        : KernelPlan(op, request, queue),
          geometry_(op, request.descriptor.inputs),
          groups_(geometry_, group_scores),
          scale_(static_cast<float>(geometry_.scale)),
          dropout_(mode_ == device::Mode::inference ? 0.0 : op.dropout) {
        requirements_.gradient_terms = 1;  // a product reads it
        const std::int64_t leading = leading_of(geometry_), columns = geometry_.heads * geometry_.width;
        scratch_ = {0, groups_.heads * geometry_.queries * leading, geometry_.queries * leading, leading};
        scratch_elements_ = groups_.samples * scratch_.sample;
        query_ = matrices(geometry_.query, geometry_.queries);
        key_ = matrices(geometry_.key, geometry_.keys);
        value_ = matrices(geometry_.value, geometry_.keys);
        output_ = {0, geometry_.queries * columns, geometry_.width, columns};
        make_products(make_product);
        if (possible_) measure();
    }

    bool is_possible() const { return possible_; }
    std::string implementation() const override { return "cuda:products"; }

    void forward(const device::ForwardArguments& arguments) override {
        Carver memory(arguments.workspace);
        auto* const scores = memory.take<float>(scratch_elements_);
        T* const probabilities = beside(scores, memory);
        auto* const rest = memory.take<std::byte>(0);
        const Saved saved = saved_in(arguments.saved);
        const auto input = [&](const Geometry::Operand& of) { return arguments.inputs[of.input].data; };
        for_each_group([&](const ScoreRows& rows) {
            run(*scores_, part(rows, input(geometry_.query), query_), part(rows, input(geometry_.key), key_),
                part(scores), scale_, rest);
            launch_probabilities(queue_, rows, ScoreDropout{dropout_, op_.stream, arguments.step}, scores,
                                 probabilities, saved.normalisers, saved.kept);
            run(*result_, part(probabilities), part(rows, input(geometry_.value), value_),
                part(rows, arguments.outputs[0].data, output_), 1, rest);
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver memory(arguments.workspace);
        auto* const scores = memory.take<float>(scratch_elements_);
        T* const dropped = beside(scores, memory);
        auto* const slopes = slopes_ ? memory.take<float>(scratch_elements_) : nullptr;
        T* const gradients = slopes_ ? beside(slopes, memory) : nullptr;
        auto* const rest = memory.take<std::byte>(0);
        const Saved saved = saved_in(arguments.saved);
        const auto input = [&](const Geometry::Operand& of) { return arguments.inputs[of.input].data; };
        const auto gradient = [&](const Geometry::Operand& of) {
            return arguments.input_gradients[of.input].view.data;
        };
        for_each_group([&](const ScoreRows& rows) {
            const Part query = part(rows, input(geometry_.query), query_);
            const Part key = part(rows, input(geometry_.key), key_);
            const Part above = part(rows, arguments.output_gradients[0][0].data, output_);
            run(*scores_, query, key, part(scores), scale_, rest);
            if (slopes_) {
                run(*slopes_, above, part(rows, input(geometry_.value), value_), part(slopes), 1, rest);
            }
            launch_score_gradients(queue_, rows, dropout_, scores, slopes, saved.normalisers, saved.kept,
                                   dvalue_ ? dropped : nullptr, gradients);
            if (dvalue_) {
                run(*dvalue_, part(dropped), above, part(rows, gradient(geometry_.value), value_), 1, rest);
            }
            if (dquery_) {
                run(*dquery_, part(gradients), key, part(rows, gradient(geometry_.query), query_), scale_,
                    rest);
            }
            if (dkey_) {
                run(*dkey_, part(gradients), query, part(rows, gradient(geometry_.key), key_), scale_, rest);
            }
        });
    }

  private:
    static constexpr bool in_place = std::is_same_v<T, float>;

    Matrices matrices(const Geometry::Operand& of, std::int64_t tokens) const {
        return {of.offset, tokens * of.stride, geometry_.width, of.stride};
    }

    void make_products(const MakeProduct& make_product) {
        const std::int64_t queries = geometry_.queries, keys = geometry_.keys, width = geometry_.width;
        constexpr std::int64_t bytes = sizeof(T);
        const Placement scratch = scratch_.placement(groups_, bytes),
                        query = query_.placement(groups_, bytes), key = key_.placement(groups_, bytes),
                        value = value_.placement(groups_, bytes), output = output_.placement(groups_, bytes);
        const auto make = [&](ProductShape shape, const Placement& x, const Placement& y,
                              const Placement& result) {
            shape.batch = groups_.batch();
            shape.in = dtype_of<T>;
            shape.x_at = x;
            shape.y_at = y;
            shape.result_at = result;
            auto product = make_product(shape);
            possible_ = possible_ && product;
            return product;
        };
        constexpr auto plain = Stored::plain, transposed = Stored::transposed;
        // Scores and slopes stay f32: their differences, not they themselves, make the probabilities.
        const ProductShape outer{.rows = queries, .columns = keys, .depth = width, .y = transposed};
        const ProductShape to_query{
            .rows = queries, .columns = width, .depth = keys, .y = plain, .out = dtype_of<T>};
        const ProductShape to_key{
            .rows = keys, .columns = width, .depth = queries, .x = transposed, .out = dtype_of<T>};
        scores_ = make(outer, query, key, scratch);
        result_ = make(to_query, scratch, value, output);
        if (wants(geometry_.query.input)) dquery_ = make(to_query, scratch, key, query);
        if (wants(geometry_.key.input)) dkey_ = make(to_key, scratch, query, key);
        if (wants(geometry_.value.input)) dvalue_ = make(to_key, scratch, output, value);
        if (dquery_ || dkey_) slopes_ = make(outer, output, value, scratch);
    }

    void measure() {
        std::size_t matrix = carved<float>(scratch_elements_);
        if (!in_place) matrix += carved<T>(scratch_elements_);
        requirements_.forward_workspace = matrix + std::max(scores_->workspace(), result_->workspace());
        if (!trains()) return;
        requirements_.saved = carved<float>(all_rows());
        if (dropout_ > 0) requirements_.saved += carved<std::uint8_t>(mask_bytes());
        std::size_t most = scores_->workspace();
        for (const BatchedProduct* product : {slopes_.get(), dvalue_.get(), dquery_.get(), dkey_.get()}) {
            if (product != nullptr) most = std::max(most, product->workspace());
        }
        requirements_.backward_workspace = (slopes_ ? 2 : 1) * matrix + most;
    }

    std::int64_t all_rows() const { return geometry_.batch * geometry_.heads * geometry_.queries; }
    std::int64_t mask_bytes() const { return all_rows() * (scratch_.leading / keys_per_pack); }

    struct Saved {
        float* normalisers = nullptr;
        std::uint8_t* kept = nullptr;
    };
    Saved saved_in(std::byte* data) const {
        if (!trains()) return {};
        Carver memory(data);
        Saved saved{memory.take<float>(all_rows())};
        if (dropout_ > 0) saved.kept = memory.take<std::uint8_t>(mask_bytes());
        return saved;
    }

    /// Where what is computed from `numbers` goes.
    T* beside(float* numbers, Carver& memory) const {
        if constexpr (in_place) {
            return numbers;
        } else {
            return memory.take<T>(scratch_elements_);
        }
    }

    template <typename Body>
    void for_each_group(Body body) const {
        ScoreRows rows{.samples = groups_.samples,
                       .group_heads = groups_.heads,
                       .heads = geometry_.heads,
                       .queries = geometry_.queries,
                       .keys = geometry_.keys,
                       .leading = scratch_.leading};
        for (; rows.first_sample < geometry_.batch; rows.first_sample += groups_.samples) {
            for (rows.first_head = 0; rows.first_head < geometry_.heads; rows.first_head += groups_.heads) {
                body(rows);
            }
        }
    }

    /// A group's part of an operand, a result or a gradient.
    Part part(const ScoreRows& rows, std::byte* data, const Matrices& of) const {
        constexpr std::int64_t bytes = sizeof(T);
        const std::int64_t first = of.offset + rows.first_sample * of.sample + rows.first_head * of.head;
        return {data + first * bytes, of.between_calls(groups_) * bytes};
    }
    template <typename Number>
    Part part(Number* scratch) const {
        return {reinterpret_cast<std::byte*>(scratch),
                scratch_.between_calls(groups_) * static_cast<std::int64_t>(sizeof(Number))};
    }

    void run(BatchedProduct& product, const Part& x, const Part& y, const Part& result, float factor,
             std::byte* workspace) const {
        for (std::int64_t call = 0; call < groups_.calls(); ++call) {
            product.run(x.first + call * x.step, y.first + call * y.step, result.first + call * result.step,
                        factor, workspace);
        }
    }

    Geometry geometry_;
    Groups groups_;
    float scale_;
    double dropout_;  ///< 0 in inference
    Matrices scratch_{}, query_{}, key_{}, value_{}, output_{};
    std::int64_t scratch_elements_ = 0;  ///< of a group
    std::unique_ptr<BatchedProduct> scores_, result_, slopes_, dvalue_, dquery_, dkey_;
    bool possible_ = true;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_attention_by_products(const ops::Attention& op,
                                                           const device::PlanRequest& request, Queue queue,
                                                           const MakeProduct& make_product,
                                                           std::string& reason, std::int64_t group_scores) {
    const std::int64_t bytes = head_bytes(Geometry(op, request.descriptor.inputs));
    if (bytes > most_head_scores) {
        reason = fmt::format("the scores of a head take {} MiB, more than {}", bytes >> 20,
                             most_head_scores >> 20);
        return nullptr;
    }
    const auto make = [&]<typename T>() -> std::unique_ptr<device::OpPlan> {
        auto plan = std::make_unique<AttentionByProducts<T>>(op, request, queue, make_product, group_scores);
        if (plan->is_possible()) return plan;
        reason = "no product of these sizes has sums of a fixed order";
        return nullptr;
    };
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return make.template operator()<float>();
    if (dtype == DType::bf16) return make.template operator()<bfloat16>();
    if (dtype == DType::f16) return make.template operator()<float16>();
    reason = fmt::format("it takes f32, bf16 and f16, not {}", name_of(dtype));
    return nullptr;
}

}  // namespace terrane::cuda
