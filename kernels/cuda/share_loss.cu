// Cross-entropy and Dice of class shares against soft targets.
#include "formulas/share_loss.hpp"

#include "cuda/plans.hpp"
#include "cuda/sums.hpp"

namespace terrane::cuda {

namespace {

using Kind = ops::ShareLoss::Kind;

struct ShareInputs {
    Floats shares;
    const float *targets, *weights;
    std::int64_t classes;
    ops::VoidPixels void_pixels;

    TERRANE_HOST_DEVICE bool takes_part(std::int64_t pixel) const {
        return formulas::takes_part(targets + pixel * classes, classes, void_pixels);
    }
    TERRANE_HOST_DEVICE float weight(std::int64_t pixel) const {
        return formulas::pixel_weight(targets + pixel * classes, weights, classes, void_pixels);
    }
    /// Place of the share that cross-entropy looks at.
    TERRANE_HOST_DEVICE std::int64_t true_share(std::int64_t pixel) const {
        return pixel * classes + formulas::target_class(targets + pixel * classes, classes);
    }
};

/// Adds a number per item up to the loss. Value: double operator()(std::int64_t item) const.
template <typename Value>
struct AddLoss {
    static constexpr int sums = 1;
    Value value;
    double* output;

    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t item, double (&own)[1]) const {
        own[0] += value(item);
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t, const double (&total)[1]) const {
        output[0] = total[0];
        output[1] = 0;
    }
};

struct PixelEntropy {
    ShareInputs in;

    TERRANE_HOST_DEVICE double operator()(std::int64_t pixel) const {
        if (!in.takes_part(pixel)) return 0;
        return -static_cast<double>(in.weight(pixel) * std::log(in.shares[in.true_share(pixel)]));
    }
};

struct EntropySlopes {
    ShareInputs in;
    float loss_weight;
    FloatsOut dp;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        for (std::int64_t c = 0; c < in.classes; ++c) dp.store(pixel * in.classes + c, 0);
        if (!in.takes_part(pixel)) return;
        const std::int64_t place = in.true_share(pixel);
        dp.store(place, -loss_weight * in.weight(pixel) / in.shares[place]);
    }
};

/// What Dice needs of a class in a sample.
struct ClassOverlap {
    formulas::OverlapSums<double> sums;
    double weight;  ///< of the sample
};

/// Group: a class of a sample.
struct SumOverlap {
    static constexpr int sums = 3;
    ShareInputs in;
    std::int64_t sample_pixels;
    ClassOverlap* overlaps;  ///< [samples, classes]

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[3]) const {
        const std::int64_t pixel = group / in.classes * sample_pixels + item;
        if (!in.takes_part(pixel)) return;
        const std::int64_t element = pixel * in.classes + group % in.classes;
        const auto share = static_cast<double>(in.shares[element]);
        const auto target = static_cast<double>(in.targets[element]);
        own[0] += share * target;
        own[1] += share + target;
        own[2] += static_cast<double>(in.weight(pixel));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[3]) const {
        overlaps[group] = {{total[0], total[1]}, total[2]};
    }
};

/// What a class of a sample adds to the loss.
struct ClassLoss {
    const ClassOverlap* overlaps;
    double smooth, classes;

    TERRANE_HOST_DEVICE double operator()(std::int64_t group) const {
        const ClassOverlap& own = overlaps[group];
        return own.weight * (1 - formulas::dice_score(own.sums, smooth)) / classes;
    }
};

struct OverlapSlopes {
    ShareInputs in;
    const ClassOverlap* overlaps;
    std::int64_t sample_pixels;
    double smooth, loss_weight;
    FloatsOut dp;

    TERRANE_HOST_DEVICE void operator()(std::int64_t pixel) const {
        const bool takes_part = in.takes_part(pixel);
        for (std::int64_t c = 0; c < in.classes; ++c) {
            const std::int64_t element = pixel * in.classes + c;
            const ClassOverlap& own = overlaps[pixel / sample_pixels * in.classes + c];
            const double slope =
                formulas::dice_slope(own.sums, static_cast<double>(in.targets[element]), smooth);
            const double scale = -loss_weight * own.weight / static_cast<double>(in.classes);
            dp.store(element, takes_part ? static_cast<float>(scale * slope) : 0.0f);
        }
    }
};

/// Dice keeps its sums from forward to backward.
class ShareLossPlan final : public KernelPlan<ops::ShareLoss> {
  public:
    ShareLossPlan(const ops::ShareLoss& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          sample_pixels_(input_shape(0).height() * input_shape(0).width()),
          overlaps_(input_shape(0).batch() * input_shape(0).channels(), sample_pixels_),
          losses_(1, op.kind == Kind::dice ? overlaps_.groups : input_shape(0).pixels()) {
        requirements_.gradient_terms = 1;
        requirements_.forward_workspace = losses_.bytes(1);
        if (op_.kind != Kind::dice) return;
        requirements_.forward_workspace = carved<ClassOverlap>(overlaps_.groups) +
                                          std::max(losses_.bytes(1), overlaps_.bytes(SumOverlap::sums));
        if (trains()) {
            requirements_.saved = static_cast<std::size_t>(overlaps_.groups) * sizeof(ClassOverlap);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const ShareInputs in = inputs_of(arguments.inputs);
        auto* output = arguments.outputs[0].as<double>();
        Carver workspace(arguments.workspace);
        if (op_.kind == Kind::cross_entropy) {
            launch_sums(queue_, losses_, workspace.take_doubles(0),
                        AddLoss<PixelEntropy>{PixelEntropy{in}, output});
            return;
        }
        auto* overlaps = workspace.take<ClassOverlap>(overlaps_.groups);
        if (trains()) overlaps = reinterpret_cast<ClassOverlap*>(arguments.saved);
        double* partials = workspace.take_doubles(0);
        launch_sums(queue_, overlaps_, partials, SumOverlap{in, sample_pixels_, overlaps});
        const ClassLoss loss{overlaps, op_.smooth, static_cast<double>(in.classes)};
        launch_sums(queue_, losses_, partials, AddLoss<ClassLoss>{loss, output});
    }

    void backward(const device::BackwardArguments& arguments) override {
        const ShareInputs in = inputs_of(arguments.inputs);
        const FloatsOut dp = floats_out(arguments.input_gradients[0].view);
        if (op_.kind == Kind::cross_entropy) {
            launch(queue_, input_shape(0).pixels(),
                   EntropySlopes{in, static_cast<float>(op_.loss_weight), dp});
        } else {
            launch(queue_, input_shape(0).pixels(),
                   OverlapSlopes{in, reinterpret_cast<const ClassOverlap*>(arguments.saved), sample_pixels_,
                                 op_.smooth, op_.loss_weight, dp});
        }
    }

  private:
    ShareInputs inputs_of(std::span<const TensorView> inputs) const {
        return {floats(inputs[0]), inputs[1].as<float>(), inputs[2].as<float>(), input_shape(0).channels(),
                op_.void_pixels};
    }

    std::int64_t sample_pixels_;
    SumGeometry overlaps_, losses_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::ShareLoss& op, const device::PlanRequest& request,
                                             Queue queue) {
    const std::vector<TensorSpec>& inputs = request.descriptor.inputs;
    if (inputs[0].dtype == DType::f64 || inputs[1].dtype != DType::f32) return nullptr;
    return std::make_unique<ShareLossPlan>(op, request, queue);
}

}  // namespace terrane::cuda
