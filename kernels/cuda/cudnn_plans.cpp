// Cudnn by cuDNN's graph API, and transposed ones by their data gradient.
#include "cuda/cudnn_engine.hpp"
#include "cuda/parameter_kernels.hpp"
#include "cuda/plan.hpp"

namespace terrane::cuda {

namespace fe = cudnn_frontend;

namespace {

/// A convolution between a large map (x of a convolution, y of a transposed one) and a small one.
struct Geometry {
    Shape large, small;
    std::int64_t kernel, stride, padding, dilation, groups;
    DType dtype;
};

enum class Direction { forward, data, weight };

const char* text_of(Direction direction) {
    switch (direction) {
        case Direction::forward:
            return "forward";
        case Direction::data:
            return "data";
        case Direction::weight:
            return "weight";
    }
    return "";
}

constexpr std::int64_t large_uid = 1, small_uid = 2, weight_uid = 3;

/// cuDNN names sizes batch, channels, height, width whatever the layout; ours is channels last.
fe::graph::Tensor_attributes tensor_of(const char* name, std::int64_t uid, std::int64_t n, std::int64_t h,
                                       std::int64_t w, std::int64_t c, DType dtype) {
    return fe::graph::Tensor_attributes()
        .set_name(name)
        .set_uid(uid)
        .set_dim({n, c, h, w})
        .set_stride({h * w * c, 1, w * c, c})
        .set_data_type(cudnn_type_of(dtype));
}
fe::graph::Tensor_attributes map_of(const char* name, std::int64_t uid, const Shape& shape, DType dtype) {
    return tensor_of(name, uid, shape.batch(), shape.height(), shape.width(), shape.channels(), dtype);
}

/// One direction of one convolution: engine chosen and built.
class Engine : public CudnnEngine {
  public:
    Engine(const std::shared_ptr<Cudnn>& shared, const Geometry& geometry, Direction direction)
        : CudnnEngine(shared, fmt::format("{} convolution", text_of(direction))) {
        const bool tf32 = geometry.dtype == DType::f32 && shared->float32 == Float32Products::tf32;
        describe(geometry, direction);
        const auto bytes = [](std::int64_t elements, DType dtype) {
            return static_cast<std::size_t>(elements) * size_of(dtype);
        };
        const std::int64_t weights = geometry.small.channels() * geometry.kernel * geometry.kernel *
                                     geometry.large.channels() / geometry.groups;
        choose(key(*shared, geometry, direction, tf32), unwanted_notes(geometry, tf32),
               {{large_uid, bytes(geometry.large.elements(), geometry.dtype)},
                {small_uid, bytes(geometry.small.elements(), geometry.dtype)},
                {weight_uid, bytes(weights, DType::f32)}});
    }

    void run(void* large, void* small, void* weight, std::byte* workspace) {
        CudnnEngine::run({{large_uid, large}, {small_uid, small}, {weight_uid, weight}}, workspace);
    }

  private:
    void describe(const Geometry& g, Direction direction) {
        const auto large = map_of("large", large_uid, g.large, g.dtype);
        const auto small = map_of("small", small_uid, g.small, g.dtype);
        const auto weight_as = [&](DType dtype) {
            return tensor_of("weight", weight_uid, g.small.channels(), g.kernel, g.kernel,
                             g.large.channels() / g.groups, dtype);
        };
        const auto configured = [&](auto attributes) {
            return attributes.set_padding({g.padding, g.padding})
                .set_stride({g.stride, g.stride})
                .set_dilation({g.dilation, g.dilation});
        };
        const auto give_out = [](const std::shared_ptr<fe::graph::Tensor_attributes>& result,
                                 const fe::graph::Tensor_attributes& like) {
            result->set_output(true)
                .set_uid(like.get_uid())
                .set_dim(like.get_dim())
                .set_stride(like.get_stride())
                .set_data_type(like.get_data_type());
        };
        if (direction == Direction::forward) {
            give_out(graph().conv_fprop(graph().tensor(large), graph().tensor(weight_as(g.dtype)),
                                        configured(fe::graph::Conv_fprop_attributes())),
                     small);
        } else if (direction == Direction::data) {
            give_out(graph().conv_dgrad(graph().tensor(small), graph().tensor(weight_as(g.dtype)),
                                        configured(fe::graph::Conv_dgrad_attributes())),
                     large);
        } else {
            // Gradients of parameters are f32 whatever the activations are.
            give_out(graph().conv_wgrad(graph().tensor(small), graph().tensor(large),
                                        configured(fe::graph::Conv_wgrad_attributes())),
                     weight_as(DType::f32));
        }
    }

    static std::vector<fe::NumericalNote_t> unwanted_notes(const Geometry& g, bool tf32) {
        using Note = fe::NumericalNote_t;
        std::vector<Note> unwanted{Note::NONDETERMINISTIC,  Note::REDUCED_PRECISION_REDUCTION,
                                   Note::WINOGRAD,          Note::WINOGRAD_TILE_4x4,
                                   Note::WINOGRAD_TILE_6x6, Note::WINOGRAD_TILE_13x13};
        // Tensor cores round f32 inputs to TF32.
        if (g.dtype == DType::f32 && !tf32) {
            unwanted.insert(unwanted.end(), {Note::TENSOR_CORE, Note::DOWN_CONVERT_INPUTS});
        }
        return unwanted;
    }

    static EngineKey key(const Cudnn& shared, const Geometry& g, Direction direction, bool tf32) {
        return {shared.device_name,
                fmt::format("cudnn {}", cudnnGetVersion()),
                text_of(direction),
                tf32 ? "tf32" : std::string(name_of(g.dtype)),
                {g.large.batch(), g.large.height(), g.large.width(), g.large.channels(), g.small.height(),
                 g.small.width(), g.small.channels(), g.kernel, g.stride, g.padding, g.dilation, g.groups}};
    }
};

/// Workspaces: the engine's; for an accumulated weight gradient, the fresh one behind it. Weights of bf16
/// and f16 convolutions are cast once per change into memory of the plan's own.
template <typename T, typename Op>
class ConvolutionPlan final : public device::OpPlan {
    static constexpr bool transposed = std::is_same_v<Op, ops::TransposedConvolution>;
    static constexpr bool casts = !std::is_same_v<T, float>;

  public:
    ConvolutionPlan(const Op& op, const device::PlanRequest& request, const std::shared_ptr<Cudnn>& shared)
        : queue_(shared->queue),
          output_(request.descriptor.outputs[0].shape),
          weights_(request.descriptor.inputs[1].shape.elements()),
          has_bias_(request.descriptor.inputs.size() > 2),
          biases_(output_.pixels(), output_.channels()) {
        const Geometry geometry = geometry_of(op, request.descriptor);
        const auto wants = [&](std::size_t i) {
            return i < request.gradient_wanted.size() && request.gradient_wanted[i];
        };
        forward_ =
            std::make_unique<Engine>(shared, geometry, transposed ? Direction::data : Direction::forward);
        if (wants(0) && reason().empty()) {
            data_ =
                std::make_unique<Engine>(shared, geometry, transposed ? Direction::forward : Direction::data);
        }
        if (wants(1) && reason().empty())
            weight_ = std::make_unique<Engine>(shared, geometry, Direction::weight);
        requirements_.forward_workspace = forward_->workspace();
        if (data_) requirements_.backward_workspace = data_->workspace();
        if (weight_) {
            requirements_.backward_workspace =
                std::max(requirements_.backward_workspace,
                         device::aligned(weight_->workspace()) + carved<float>(weights_));
        }
        if (wants(2))
            requirements_.backward_workspace = std::max(requirements_.backward_workspace, biases_.bytes(1));
        if (casts) requirements_.persistent = carved<T>(weights_);
    }

    /// Empty if all engines can run.
    std::string reason() const {
        std::string text = forward_->reason();
        if (data_) text += data_->reason();
        if (weight_) text += weight_->reason();
        return text;
    }
    std::string implementation() const override { return "cudnn:" + forward_->name(); }

    void on_parameters_changed(std::span<const TensorView> inputs, std::byte* persistent) override {
        if constexpr (casts) {
            if (inputs[1])
                launch_cast(queue_, inputs[1].as<float>(), reinterpret_cast<T*>(persistent), weights_);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        std::byte* const weight = casts ? arguments.persistent : arguments.inputs[1].data;
        std::byte* const x = arguments.inputs[0].data;
        std::byte* const y = arguments.outputs[0].data;
        forward_->run(transposed ? y : x, transposed ? x : y, weight, arguments.workspace);
        if (has_bias_) {
            launch_add_bias(queue_, arguments.outputs[0].as<T>(), arguments.inputs[2].as<float>(),
                            output_.pixels(), output_.channels());
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& dy = arguments.output_gradients[0][0];
        if (const TensorView& dx = arguments.input_gradients[0].view; dx) {
            std::byte* const weight = casts ? arguments.persistent : arguments.inputs[1].data;
            data_->run(transposed ? dy.data : dx.data, transposed ? dx.data : dy.data, weight,
                       arguments.workspace);
        }
        if (const device::GradientTarget& dweight = arguments.input_gradients[1]; dweight.view) {
            const bool adds = dweight.write == device::GradientWrite::accumulate;
            auto* const fresh =
                reinterpret_cast<float*>(arguments.workspace + device::aligned(weight_->workspace()));
            std::byte* const x = arguments.inputs[0].data;
            weight_->run(transposed ? dy.data : x, transposed ? x : dy.data,
                         adds ? static_cast<void*>(fresh) : dweight.view.data, arguments.workspace);
            if (adds) launch_take(queue_, fresh, parameter_gradient(dweight), weights_);
        }
        if (!has_bias_) return;
        if (const auto target = parameter_gradient(arguments.input_gradients[2]); target) {
            launch_bias_gradient(queue_, biases_, Terms<T>{dy.as<T>()}, target,
                                 reinterpret_cast<double*>(arguments.workspace));
        }
    }

  private:
    static Geometry geometry_of(const Op& op, const ops::OpDescriptor& descriptor) {
        const Shape &x = descriptor.inputs[0].shape, &y = descriptor.outputs[0].shape;
        if constexpr (transposed) {
            return {y, x, op.kernel, op.stride, op.padding, 1, 1, dtype_of<T>};
        } else {
            return {x, y, op.kernel, op.stride, op.padding, op.dilation, op.groups, dtype_of<T>};
        }
    }

    Queue queue_;
    Shape output_;
    std::int64_t weights_;
    bool has_bias_;
    ColumnGeometry biases_;
    std::unique_ptr<Engine> forward_, data_, weight_;
};

template <typename Op>
std::unique_ptr<device::OpPlan> make(const Op& op, const device::PlanRequest& request,
                                     const std::shared_ptr<Cudnn>& shared, std::string& reason) {
    const auto offer = [&](auto plan) -> std::unique_ptr<device::OpPlan> {
        reason = plan->reason();
        if (reason.empty()) return plan;
        return nullptr;
    };
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return offer(std::make_unique<ConvolutionPlan<float, Op>>(op, request, shared));
    if (dtype == DType::bf16)
        return offer(std::make_unique<ConvolutionPlan<bfloat16, Op>>(op, request, shared));
    if (dtype == DType::f16)
        return offer(std::make_unique<ConvolutionPlan<float16, Op>>(op, request, shared));
    reason = fmt::format("it takes f32, bf16 and f16, not {}", name_of(dtype));
    return nullptr;
}

}  // namespace

std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::Convolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Cudnn>& cudnn,
                                                      std::string& reason) {
    return make(op, request, cudnn, reason);
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::TransposedConvolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Cudnn>& cudnn,
                                                      std::string& reason) {
    return make(op, request, cudnn, reason);
}

}  // namespace terrane::cuda
