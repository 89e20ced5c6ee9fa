// The localization rectification loss: blocks of queries meet all keys of their sample, one sample after
// another, so that memory does not grow with the batch. Backward computes the similarities anew.
#include "cuda/class_plan.hpp"
#include "cuda/tile_product.hpp"
#include "formulas/rectification.hpp"

namespace terrane::cuda {

namespace {

/// Similarities that a block of queries holds.
constexpr std::int64_t block_similarities = 1 << 21;
constexpr std::int64_t least_rows = 32;

struct MarkForeground {
    const std::uint8_t* map;
    std::int64_t map_height, map_width, height, width;  ///< of the class map, of the tokens
    int background;
    float* foreground;  ///< [samples, tokens], 1 or 0

    TERRANE_HOST_DEVICE void operator()(std::int64_t token) const {
        const std::int64_t sample = token / (height * width);
        foreground[token] =
            formulas::is_foreground_token(map + sample * map_height * map_width, map_height, map_width,
                                          token / width % height, token % width, height, width, background)
                ? 1.0f
                : 0.0f;
    }
};

/// Group: a token. 1 over its length.
template <typename T>
struct FindScale {
    static constexpr int sums = 1;
    const T* tokens;
    std::int64_t width;
    float* scales;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        const auto value = static_cast<double>(static_cast<float>(tokens[group * width + item]));
        own[0] += value * value;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        scales[group] = static_cast<float>(1 / std::sqrt(total[0] + ops::LocalizationRectification::epsilon));
    }
};

/// Rows as they lie in memory; each times its own factor, if there are factors.
template <typename T>
struct RowsOf {
    const T* data;
    std::int64_t width;
    const float* factors = nullptr;

    TERRANE_HOST_DEVICE float operator()(std::int64_t row, std::int64_t column) const {
        const auto value = static_cast<float>(data[row * width + column]);
        return factors == nullptr ? value : value * factors[row];
    }
};
template <typename Rows>
struct Transposed {
    Rows rows;

    TERRANE_HOST_DEVICE float operator()(std::int64_t row, std::int64_t column) const {
        return rows(column, row);
    }
};

struct StoreTo {
    float* target;
    std::int64_t width;

    TERRANE_HOST_DEVICE void operator()(std::int64_t row, std::int64_t column, float value) const {
        target[row * width + column] = value;
    }
};
struct AddTo {
    float* target;
    std::int64_t width;
    bool begins;

    TERRANE_HOST_DEVICE void operator()(std::int64_t row, std::int64_t column, float value) const {
        float& own = target[row * width + column];
        own = begins ? value : own + value;
    }
};
/// e^cosine: at most e, so that no maximum has to be subtracted.
struct StorePower {
    float* target;
    std::int64_t width;

    TERRANE_HOST_DEVICE void operator()(std::int64_t row, std::int64_t column, float cosine) const {
        target[row * width + column] = std::exp(cosine);
    }
};

/// Group: a query of the block. 1 over the sum of its powers.
struct FindShare {
    static constexpr int sums = 1;
    const float* powers;
    std::int64_t tokens;
    float* shares;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        own[0] += static_cast<double>(powers[group * tokens + item]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        shares[group] = static_cast<float>(1 / total[0]);
    }
};

/// A block's features, what similar tokens make of them, and the difference that is to vanish.
template <typename T>
struct Residuals {
    const T* x;              ///< [rows, channels]
    const float* rectified;  ///< likewise
    const float* foreground;
    const float* gamma;
    std::int64_t channels;

    TERRANE_HOST_DEVICE float operator()(std::int64_t i) const {
        const auto value = static_cast<float>(x[i]);
        return foreground[i / channels] == 0 ? value : value - *gamma * rectified[i];
    }
};

template <typename T>
struct SquareSums {
    static constexpr int sums = 2;
    Residuals<T> residuals;
    double samples;
    double *output, *exchange;
    bool begins;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t item, double (&own)[2]) const {
        const float residual = residuals(item), square = residual * residual;
        own[0] += static_cast<double>(square);
        own[1] += square != 0 ? 1 : 0;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[2]) const {
        output[0] = (begins ? 0 : output[0]) + total[0];
        exchange[0] = (begins ? 0 : exchange[0]) + total[1];
        output[1] = exchange[1] = samples;
    }
};

/// What the sum of squares is multiplied by, and the 2 of its derivative.
struct SlopeFactor {
    const double* share;
    double loss_weight;

    TERRANE_HOST_DEVICE float operator()() const { return static_cast<float>(2 * loss_weight * *share); }
};

template <typename T>
struct GammaSum {
    static constexpr int sums = 1;
    Residuals<T> residuals;
    SlopeFactor factor;
    double* target;
    bool begins;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t item, double (&own)[1]) const {
        if (residuals.foreground[item / residuals.channels] == 0) return;
        own[0] -= static_cast<double>(factor() * residuals(item) * residuals.rectified[item]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        *target = (begins ? 0 : *target) + total[0];
    }
};

struct StoreGamma {
    const double* sum;
    ParameterGradient target;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const { target.store(0, *sum); }
};

/// Leaves the slopes by the residuals, and in place of the rectified features the slopes by them.
template <typename T>
struct ResidualSlopes {
    Residuals<T> residuals;
    SlopeFactor factor;
    float *by_residual, *by_rectified;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const float slope = factor() * residuals(i);
        by_residual[i] = slope;
        by_rectified[i] =
            residuals.foreground[i / residuals.channels] == 0 ? 0.0f : -*residuals.gamma * slope;
    }
};

/// Group: a query of the block. The mean of the slopes by its similarities.
struct MeanSlope {
    static constexpr int sums = 1;
    const float *powers, *shares, *slopes;
    std::int64_t tokens;
    float* means;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        const std::int64_t i = group * tokens + item;
        own[0] += static_cast<double>(shares[group] * powers[i] * slopes[i]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        means[group] = static_cast<float>(total[0]);
    }
};

/// From slopes by the similarities to slopes by the cosines.
struct CosineSlopes {
    const float *powers, *shares, *means;
    std::int64_t tokens;
    float* slopes;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t row = i / tokens;
        slopes[i] = shares[row] * powers[i] * (slopes[i] - means[row]);
    }
};

/// Group: a token. How much of the slope by its direction lies along it.
template <typename T>
struct FindAlong {
    static constexpr int sums = 1;
    RowsOf<T> units;
    const float* slopes;
    float* along;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        own[0] += static_cast<double>(units(group, item) * slopes[group * units.width + item]);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        along[group] = static_cast<float>(total[0]);
    }
};
/// From the slope by a token's direction to that by the token.
template <typename T>
struct UnitSlopes {
    RowsOf<T> units;
    const float *slopes, *along;
    T* gradient;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t row = i / units.width;
        gradient[i] = T((slopes[i] - along[row] * units(row, i % units.width)) * units.factors[row]);
    }
};

struct AddInPlace {
    const float* from;
    float* to;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] += from[i]; }
};
template <typename T>
struct StoreAs {
    const float* from;
    T* to;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = T(from[i]); }
};

/// Exchange: entries that are not zero, samples. Saved: what the own sum is multiplied by.
template <typename T>
class RectificationPlan final : public KernelPlan<ops::LocalizationRectification> {
  public:
    RectificationPlan(const ops::LocalizationRectification& op, const device::PlanRequest& request,
                      Queue queue)
        : KernelPlan(op, request, queue),
          batch_(input_shape(0).batch()),
          tokens_(input_shape(0).height() * input_shape(0).width()),
          channels_(input_shape(0).channels()),
          width_(input_shape(1).channels()) {
        rows_ = std::clamp(block_similarities / tokens_, std::min(least_rows, tokens_), tokens_);
        requirements_.gradient_terms = 1;
        requirements_.forward_exchange = 2;
        requirements_.forward_workspace = forward_bytes();
        if (!trains()) return;
        requirements_.saved = sizeof(double);
        requirements_.backward_workspace = forward_bytes() + backward_bytes();
    }

    void forward(const device::ForwardArguments& arguments) override {
        auto* output = arguments.outputs[0].as<double>();
        if (arguments.phase == device::Phase::after_exchange) {
            launch(queue_, 1,
                   TakeShare{arguments.exchange, output,
                             trains() ? reinterpret_cast<double*>(arguments.saved) : nullptr});
            return;
        }
        Carver workspace(arguments.workspace);
        const Memory memory(workspace, *this);
        prepare(arguments.inputs, memory);
        bool begins = true;
        each_block([&](const Block& block) {
            const Residuals<T> residuals = rectify(arguments.inputs, memory, block);
            launch_sums(
                queue_, SumGeometry(1, block.rows * channels_), memory.partials,
                SquareSums<T>{residuals, static_cast<double>(batch_), output, arguments.exchange, begins});
            begins = false;
        });
    }

    void backward(const device::BackwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        const Memory memory(workspace, *this);
        const Slopes slopes(workspace, *this);
        const SlopeFactor factor{reinterpret_cast<const double*>(arguments.saved), op_.loss_weight};
        prepare(arguments.inputs, memory);
        bool begins = true;
        each_block([&](const Block& block) {
            const Residuals<T> residuals = rectify(arguments.inputs, memory, block);
            if (wants(3)) {
                launch_sums(queue_, SumGeometry(1, block.rows * channels_), memory.partials,
                            GammaSum<T>{residuals, factor, slopes.gamma, begins});
            }
            begins = false;
            launch(queue_, block.rows * channels_,
                   ResidualSlopes<T>{residuals, factor, slopes.by_residual, memory.rectified});
            block_backward(arguments, memory, slopes, block);
            if (block.first + block.rows == tokens_) finish_sample(arguments, memory, slopes, block.sample);
        });
        if (const auto target = parameter_gradient(arguments.input_gradients[3]); target) {
            launch(queue_, 1, StoreGamma{slopes.gamma, target});
        }
    }

  private:
    /// Queries [first, first + rows) of a sample.
    struct Block {
        std::int64_t sample, first, rows;
    };
    struct Memory {
        float *foreground, *query_scales, *key_scales;  ///< [samples, tokens]
        float* powers;                                  ///< [rows, tokens]
        float* shares;                                  ///< [rows]
        float* rectified;                               ///< [rows, channels]
        double* partials;

        Memory(Carver& carver, const RectificationPlan& plan)
            : foreground(carver.take<float>(plan.batch_ * plan.tokens_)),
              query_scales(carver.take<float>(plan.batch_ * plan.tokens_)),
              key_scales(carver.take<float>(plan.batch_ * plan.tokens_)),
              powers(carver.take<float>(plan.rows_ * plan.tokens_)),
              shares(carver.take<float>(plan.rows_)),
              rectified(carver.take<float>(plan.rows_ * plan.channels_)),
              partials(carver.take_doubles(plan.partial_bytes())) {}
    };
    struct Slopes {
        float* by_similarity;        ///< [rows, tokens]
        float* by_residual;          ///< [rows, channels]
        float *means, *along;        ///< [rows], [tokens]
        float* query;                ///< [rows, width]
        float *feature_sums, *keys;  ///< over the queries: [tokens, channels], [tokens, width]
        double* gamma;

        Slopes(Carver& carver, const RectificationPlan& plan)
            : by_similarity(carver.take<float>(plan.rows_ * plan.tokens_)),
              by_residual(carver.take<float>(plan.rows_ * plan.channels_)),
              means(carver.take<float>(plan.rows_)),
              along(carver.take<float>(plan.tokens_)),
              query(carver.take<float>(plan.rows_ * plan.width_)),
              feature_sums(carver.take<float>(plan.tokens_ * plan.channels_)),
              keys(carver.take<float>(plan.tokens_ * plan.width_)),
              gamma(carver.take<double>(1)) {}
    };

    std::size_t forward_bytes() const {
        return 3 * carved<float>(batch_ * tokens_) + carved<float>(rows_ * tokens_) + carved<float>(rows_) +
               carved<float>(rows_ * channels_) + device::aligned(partial_bytes());
    }
    std::size_t backward_bytes() const {
        return carved<float>(rows_ * tokens_) + carved<float>(rows_ * channels_) + carved<float>(rows_) +
               carved<float>(tokens_) + carved<float>(rows_ * width_) + carved<float>(tokens_ * channels_) +
               carved<float>(tokens_ * width_) + carved<double>(1);
    }
    /// The largest that any of the sums needs, of full blocks and of the last one of a sample.
    std::size_t partial_bytes() const {
        std::size_t most =
            std::max(SumGeometry(batch_ * tokens_, width_).bytes(1), SumGeometry(tokens_, width_).bytes(1));
        for (const std::int64_t rows : {rows_, last_rows()}) {
            most = std::max({most, SumGeometry(1, rows * channels_).bytes(2),
                             SumGeometry(rows, tokens_).bytes(1), SumGeometry(rows, width_).bytes(1)});
        }
        return most;
    }
    std::int64_t last_rows() const { return tokens_ - (tokens_ - 1) / rows_ * rows_; }

    template <typename Body>
    void each_block(const Body& body) const {
        for (std::int64_t sample = 0; sample < batch_; ++sample) {
            for (std::int64_t first = 0; first < tokens_; first += rows_) {
                body(Block{sample, first, std::min(rows_, tokens_ - first)});
            }
        }
    }

    /// What is known of all tokens.
    void prepare(std::span<const TensorView> inputs, const Memory& memory) const {
        const Shape &grid = input_shape(0), &map = input_shape(4);
        const std::int64_t all = batch_ * tokens_;
        launch(queue_, all,
               MarkForeground{inputs[4].as<std::uint8_t>(), map[1], map[2], grid.height(), grid.width(),
                              op_.background, memory.foreground});
        const SumGeometry lengths(all, width_);
        launch_sums(queue_, lengths, memory.partials,
                    FindScale<T>{inputs[1].as<T>(), width_, memory.query_scales});
        launch_sums(queue_, lengths, memory.partials,
                    FindScale<T>{inputs[2].as<T>(), width_, memory.key_scales});
    }

    const T* features(std::span<const TensorView> inputs, std::int64_t sample) const {
        return inputs[0].as<T>() + sample * tokens_ * channels_;
    }
    RowsOf<T> queries(std::span<const TensorView> inputs, const Memory& memory, const Block& block) const {
        const std::int64_t first = block.sample * tokens_ + block.first;
        return {inputs[1].as<T>() + first * width_, width_, memory.query_scales + first};
    }
    RowsOf<T> keys(std::span<const TensorView> inputs, const Memory& memory, std::int64_t sample) const {
        const std::int64_t first = sample * tokens_;
        return {inputs[2].as<T>() + first * width_, width_, memory.key_scales + first};
    }

    /// Leaves a block's powers, shares and rectified features.
    Residuals<T> rectify(std::span<const TensorView> inputs, const Memory& memory, const Block& block) const {
        const float* foreground = memory.foreground + block.sample * tokens_ + block.first;
        const T* x = features(inputs, block.sample);
        launch_product(queue_, {block.rows, tokens_, width_}, queries(inputs, memory, block),
                       Transposed<RowsOf<T>>{keys(inputs, memory, block.sample)},
                       StorePower{memory.powers, tokens_}, foreground);
        launch_sums(queue_, SumGeometry(block.rows, tokens_), memory.partials,
                    FindShare{memory.powers, tokens_, memory.shares});
        launch_product(queue_, {block.rows, channels_, tokens_},
                       RowsOf<float>{memory.powers, tokens_, memory.shares}, RowsOf<T>{x, channels_},
                       StoreTo{memory.rectified, channels_}, foreground);
        return {x + block.first * channels_, memory.rectified, foreground, inputs[3].as<float>(), channels_};
    }

    /// From the slopes by the residuals and (in memory.rectified) by the rectified features.
    void block_backward(const device::BackwardArguments& arguments, const Memory& memory,
                        const Slopes& slopes, const Block& block) const {
        const bool begins = block.first == 0;
        const float* foreground = memory.foreground + block.sample * tokens_ + block.first;
        const RowsOf<float> similarities{memory.powers, tokens_, memory.shares};
        const RowsOf<float> by_rectified{memory.rectified, channels_};
        if (wants(0)) {
            launch_product(queue_, {tokens_, channels_, block.rows}, Transposed<RowsOf<float>>{similarities},
                           by_rectified, AddTo{slopes.feature_sums, channels_, begins});
            launch(queue_, block.rows * channels_,
                   AddInPlace{slopes.by_residual, slopes.feature_sums + block.first * channels_});
        }
        if (!wants(1) && !wants(2)) return;
        launch_product(queue_, {block.rows, tokens_, channels_}, by_rectified,
                       Transposed<RowsOf<T>>{{features(arguments.inputs, block.sample), channels_}},
                       StoreTo{slopes.by_similarity, tokens_}, foreground);
        launch_sums(queue_, SumGeometry(block.rows, tokens_), memory.partials,
                    MeanSlope{memory.powers, memory.shares, slopes.by_similarity, tokens_, slopes.means});
        launch(queue_, block.rows * tokens_,
               CosineSlopes{memory.powers, memory.shares, slopes.means, tokens_, slopes.by_similarity});
        const RowsOf<float> by_cosine{slopes.by_similarity, tokens_};
        const RowsOf<T> own = queries(arguments.inputs, memory, block);
        if (wants(1)) {
            launch_product(queue_, {block.rows, width_, tokens_}, by_cosine,
                           keys(arguments.inputs, memory, block.sample), StoreTo{slopes.query, width_},
                           foreground);
            store_unit_slopes(own, slopes.query, block.rows, slopes.along, memory.partials,
                              gradient(arguments, 1, block.sample, block.first));
        }
        if (wants(2)) {
            launch_product(queue_, {tokens_, width_, block.rows}, Transposed<RowsOf<float>>{by_cosine}, own,
                           AddTo{slopes.keys, width_, begins});
        }
    }

    /// Stores what was summed over the queries of a sample.
    void finish_sample(const device::BackwardArguments& arguments, const Memory& memory, const Slopes& slopes,
                       std::int64_t sample) const {
        if (wants(0)) {
            launch(queue_, tokens_ * channels_,
                   StoreAs<T>{slopes.feature_sums,
                              arguments.input_gradients[0].view.as<T>() + sample * tokens_ * channels_});
        }
        if (wants(2)) {
            store_unit_slopes(keys(arguments.inputs, memory, sample), slopes.keys, tokens_, slopes.along,
                              memory.partials, gradient(arguments, 2, sample, 0));
        }
    }

    /// Of queries (1) or keys (2), from a token on.
    T* gradient(const device::BackwardArguments& arguments, std::size_t input, std::int64_t sample,
                std::int64_t first) const {
        return arguments.input_gradients[input].view.as<T>() + (sample * tokens_ + first) * width_;
    }

    void store_unit_slopes(const RowsOf<T>& units, const float* slopes, std::int64_t rows, float* along,
                           double* partials, T* gradient) const {
        launch_sums(queue_, SumGeometry(rows, width_), partials, FindAlong<T>{units, slopes, along});
        launch(queue_, rows * width_, UnitSlopes<T>{units, slopes, along, gradient});
    }

    std::int64_t batch_, tokens_, channels_;
    std::int64_t width_;     ///< channels of queries and keys
    std::int64_t rows_ = 1;  ///< queries of a block
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::LocalizationRectification& op,
                                             const device::PlanRequest& request, Queue queue) {
    return make_typed<RectificationPlan>(op, request, queue);
}

}  // namespace terrane::cuda
