// Lovász-softmax: per score and class the errors are sorted (a bitonic network), then swept in descending
// order.
#include <cstring>

#include "cuda/slope_map.hpp"

namespace terrane::cuda {

namespace {

/// An error and its pixel as one number: ascending keys are descending errors, then ascending pixels. No two
/// are equal.
constexpr std::uint64_t behind_all = ~std::uint64_t{0};

TERRANE_HOST_DEVICE inline std::uint32_t bits_of(float value) {
#ifdef __CUDA_ARCH__
    return __float_as_uint(value);
#else
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
#endif
}
TERRANE_HOST_DEVICE inline float float_of(std::uint32_t bits) {
#ifdef __CUDA_ARCH__
    return __uint_as_float(bits);
#else
    float value = 0;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
#endif
}

TERRANE_HOST_DEVICE inline std::uint64_t key_of(float error, std::int64_t pixel) {
    return static_cast<std::uint64_t>(~bits_of(error)) << 32 | static_cast<std::uint64_t>(pixel);
}
TERRANE_HOST_DEVICE inline float error_of(std::uint64_t key) {
    return float_of(~static_cast<std::uint32_t>(key >> 32));
}
TERRANE_HOST_DEVICE inline std::int64_t pixel_of(std::uint64_t key) {
    return static_cast<std::int64_t>(key & 0xffffffffu);
}

/// Compares and exchanges places i and i ^ distance so that runs of `run` places ascend and descend in turn.
TERRANE_HOST_DEVICE inline void exchange(std::uint64_t* keys, std::int64_t i, std::int64_t place,
                                         std::int64_t distance, std::int64_t run) {
    const std::int64_t partner = i ^ distance;
    if (partner <= i) return;
    const bool ascends = (place & run) == 0;
    if ((keys[i] > keys[partner]) == ascends) {
        const std::uint64_t kept = keys[i];
        keys[i] = keys[partner];
        keys[partner] = kept;
    }
}

/// Keys that a team sorts in its own memory.
constexpr std::int64_t tile = 2048;

/// All distances below `tile` of runs first_run, 2 first_run, ... last_run.
struct SortTile {
    static constexpr int threads = block_threads;
    struct Shared {
        std::uint64_t keys[tile];
    };
    std::uint64_t* keys;
    std::int64_t segment;  ///< keys per segment, a power of two and a multiple of tile
    std::int64_t first_run, last_run;

    template <typename Team>
    TERRANE_HOST_DEVICE void operator()(Team& team, std::int64_t index) const {
        std::uint64_t* own = keys + index * tile;
        const std::int64_t first = index * tile % segment;
        team.each([&](int thread) {
            for (std::int64_t i = thread; i < tile; i += threads) team.shared.keys[i] = own[i];
        });
        for (std::int64_t run = first_run; run <= last_run; run *= 2) {
            for (std::int64_t distance = run / 2 < tile ? run / 2 : tile / 2; distance > 0; distance /= 2) {
                team.each([&](int thread) {
                    for (std::int64_t i = thread; i < tile; i += threads) {
                        exchange(team.shared.keys, i, first + i, distance, run);
                    }
                });
            }
        }
        team.each([&](int thread) {
            for (std::int64_t i = thread; i < tile; i += threads) own[i] = team.shared.keys[i];
        });
    }
};

struct SortStep {
    std::uint64_t* keys;
    std::int64_t segment, distance, run;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        exchange(keys, i, i % segment, distance, run);
    }
};

void launch_sort(Queue queue, std::uint64_t* keys, std::int64_t segments, std::int64_t segment) {
    const std::int64_t tiles = segments * segment / tile;
    launch_teams(queue, tiles, SortTile{keys, segment, 2, tile});
    for (std::int64_t run = 2 * tile; run <= segment; run *= 2) {
        for (std::int64_t distance = run / 2; distance >= tile; distance /= 2) {
            launch(queue, segments * segment, SortStep{keys, segment, distance, run});
        }
        launch_teams(queue, tiles, SortTile{keys, segment, run, run});
    }
}

/// The scores of one rank: images, or the batch.
struct Scores {
    std::int64_t count, pixels;  ///< pixels of each
    std::int64_t segment;        ///< pixels rounded up to a power of two
};

/// Group: score and class. How many pixels show the class.
struct TruthCounts {
    static constexpr int sums = 1;
    const std::uint8_t* labels;
    Scores scores;
    std::int64_t classes;
    double* truths;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        own[0] += labels[group / classes * scores.pixels + item] == group % classes ? 1 : 0;
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        truths[group] = total[0];
    }
};

/// How many scores have a valid pixel, i.e. a class that is shown.
struct CountScores {
    const double* truths;
    std::int64_t count, classes;
    double* target;

    TERRANE_HOST_DEVICE void operator()(std::int64_t) const {
        double any = 0;
        for (std::int64_t score = 0; score < count; ++score) {
            bool shown = false;
            for (std::int64_t c = 0; c < classes; ++c) shown = shown || truths[score * classes + c] > 0;
            any += shown ? 1 : 0;
        }
        *target = any;
    }
};

struct OnlySoftmax {
    TERRANE_HOST_DEVICE float prepare(const float*, const formulas::SoftmaxNormaliser<float>&, std::int64_t,
                                      std::int64_t) const {
        return 0;
    }
};

template <typename T>
struct FillKeys {
    ClassMaps<T> maps;
    const PixelTerms* terms;
    Scores scores;
    std::int64_t c;
    std::uint64_t* keys;

    TERRANE_HOST_DEVICE void operator()(std::int64_t i) const {
        const std::int64_t inside = i % scores.segment, place = i / scores.segment * scores.pixels + inside;
        if (inside >= scores.pixels || !maps.is_valid(place)) {
            keys[i] = behind_all;
            return;
        }
        const float p = terms[place].normaliser.probability(maps.logit(maps.taps(place), c));
        const float error = maps.label(place) == c ? 1 - p : p;
        keys[i] = key_of(error > 0 ? error : 0.0f, inside);
    }
};

/// Keys that one thread sweeps.
constexpr std::int64_t sweep = 256;

struct CountSweeps {
    const std::uint64_t* keys;
    const std::uint8_t* labels;
    Scores scores;
    std::int64_t c;
    std::int64_t* counts;  ///< truths per sweep

    TERRANE_HOST_DEVICE void operator()(std::int64_t index) const {
        std::int64_t truths = 0;
        for (std::int64_t i = index * sweep; i < (index + 1) * sweep; ++i) {
            if (keys[i] == behind_all) break;
            truths += labels[i / scores.segment * scores.pixels + pixel_of(keys[i])] == c ? 1 : 0;
        }
        counts[index] = truths;
    }
};

/// From counts to the counts of all sweeps before, per score.
struct ScanSweeps {
    std::int64_t* counts;
    std::int64_t per_score;

    TERRANE_HOST_DEVICE void operator()(std::int64_t score) const {
        std::int64_t before = 0;
        for (std::int64_t i = score * per_score; i < (score + 1) * per_score; ++i) {
            const std::int64_t own = counts[i];
            counts[i] = before;
            before += own;
        }
    }
};

struct Sweep {
    const std::uint64_t* keys;
    const std::uint8_t* labels;
    Scores scores;
    std::int64_t c, classes;
    const std::int64_t* before;
    const double* truths;    ///< per score and class
    const double* exchange;  ///< sum of weights, number of scores
    double loss_weight;
    float* slopes;   ///< null in inference
    double* losses;  ///< per sweep

    TERRANE_HOST_DEVICE void operator()(std::int64_t index) const {
        const std::int64_t score = index * sweep / scores.segment;
        const double* shown = truths + score * classes;
        losses[index] = 0;
        if (shown[c] == 0) return;
        double present = 0;
        for (std::int64_t k = 0; k < classes; ++k) present += shown[k] > 0 ? 1 : 0;
        const double factor = exchange[0] / (exchange[1] * present);
        const double missed = static_cast<double>(before[index]);
        const double seen = static_cast<double>(index * sweep - score * scores.segment);
        formulas::LovaszSweep walk(shown[c], missed, seen - missed);
        double loss = 0;
        for (std::int64_t i = index * sweep; i < (index + 1) * sweep; ++i) {
            if (keys[i] == behind_all) break;
            const std::int64_t place = score * scores.pixels + pixel_of(keys[i]);
            const bool truth = labels[place] == c;
            const double growth = walk.next(truth);
            loss += growth * static_cast<double>(error_of(keys[i]));
            if (slopes != nullptr) {
                slopes[place * classes + c] =
                    static_cast<float>(loss_weight * factor * (truth ? -growth : growth));
            }
        }
        losses[index] = factor * loss;
    }
};

/// Adds the sweeps of one class to what the classes before gave.
struct LossSum {
    static constexpr int sums = 1;
    const double* losses;
    double* output;
    bool begins;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t item, double (&own)[1]) const {
        own[0] += losses[item];
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        output[0] = (begins ? 0 : output[0]) + total[0];
    }
};

std::int64_t segment_of(std::int64_t pixels) {
    std::int64_t segment = tile;
    while (segment < pixels) segment *= 2;
    return segment;
}

/// Exchange: the sum of weights, and the number of scores (images, or ranks, with a valid pixel).
template <typename T>
class LovaszPlan final : public SlopeMapPlan<T, ops::Lovasz> {
  public:
    LovaszPlan(const ops::Lovasz& op, const device::PlanRequest& request, Queue queue)
        : SlopeMapPlan<T, ops::Lovasz>(op, request, queue) {
        scores_.count = op.over == ops::ScoreOver::image ? this->maps_.batch : 1;
        scores_.pixels = this->pixels_ / scores_.count;
        scores_.segment = segment_of(scores_.pixels);
        truths_ = SumGeometry(scores_.count * this->classes_, scores_.pixels);
        losses_ = SumGeometry(1, sweeps());
        this->requirements_.forward_exchange = 2;
        this->requirements_.forward_workspace =
            carved<double>(truths_.groups) + carved<PixelTerms>(this->pixels_) +
            carved<std::uint64_t>(scores_.count * scores_.segment) + carved<std::int64_t>(sweeps()) +
            carved<double>(sweeps()) + std::max({truths_.bytes(1), losses_.bytes(1), this->sums_.bytes(1)});
    }

    void forward(const device::ForwardArguments& arguments) override {
        Carver workspace(arguments.workspace);
        auto* truths = workspace.take<double>(truths_.groups);
        auto* terms = workspace.take<PixelTerms>(this->pixels_);
        auto* keys = workspace.take<std::uint64_t>(scores_.count * scores_.segment);
        auto* counts = workspace.take<std::int64_t>(sweeps());
        auto* losses = workspace.take<double>(sweeps());
        auto* partials = workspace.take_doubles(0);
        const Queue queue = this->queue_;
        const std::int64_t classes = this->classes_;
        const auto* labels = arguments.inputs[1].template as<std::uint8_t>();
        auto* output = arguments.outputs[0].template as<double>();
        launch_sums(queue, truths_, partials, TruthCounts{labels, scores_, classes, truths});
        if (arguments.phase == device::Phase::before_exchange) {
            launch_sums(queue, this->sums_, partials,
                        WeightSum{labels, arguments.inputs[2].template as<float>(), classes,
                                  this->denominator(), output + 1, arguments.exchange});
            launch(queue, 1, CountScores{truths, scores_.count, classes, arguments.exchange + 1});
            return;
        }
        float* slopes = this->trains() ? reinterpret_cast<float*>(arguments.saved) : nullptr;
        if (slopes != nullptr) launch(queue, this->elements_, FillZero{slopes});
        const ClassMaps<T> maps = this->maps(arguments.inputs);
        launch(queue, this->pixels_, PreparePixel<T, OnlySoftmax>{maps, {}, terms});
        for (std::int64_t c = 0; c < classes; ++c) {
            launch(queue, scores_.count * scores_.segment, FillKeys<T>{maps, terms, scores_, c, keys});
            launch_sort(queue, keys, scores_.count, scores_.segment);
            launch(queue, sweeps(), CountSweeps{keys, labels, scores_, c, counts});
            launch(queue, scores_.count, ScanSweeps{counts, scores_.segment / sweep});
            launch(queue, sweeps(),
                   Sweep{keys, labels, scores_, c, classes, counts, truths, arguments.exchange,
                         this->op_.loss_weight, slopes, losses});
            launch_sums(queue, losses_, partials, LossSum{losses, output, c == 0});
        }
    }

  private:
    std::int64_t sweeps() const { return scores_.count * scores_.segment / sweep; }

    Scores scores_;
    SumGeometry truths_, losses_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Lovasz& op, const device::PlanRequest& request,
                                             Queue queue) {
    if (!has_class_kernels(request)) return nullptr;
    return make_typed<LovaszPlan>(op, request, queue);
}

}  // namespace terrane::cuda
