// Convolutions by cuDNN's graph API, and transposed ones by their data gradient.
#include "cuda/channel_padding.hpp"
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

    std::int64_t weights() const { return small.channels() * kernel * kernel * large.channels() / groups; }
};

/// Tensor cores take 16 bytes of channels at a time. Engines for other counts are slow or, for gradients of
/// weights, missing.
std::int64_t channel_unit(DType dtype, bool tf32, std::int64_t groups) {
    if (groups > 1) return 1;
    if (dtype == DType::f32) return tf32 ? 4 : 1;
    return 8;
}
Shape padded(const Shape& map, std::int64_t unit) {
    return {map.batch(), map.height(), map.width(), padded_channels(map.channels(), unit)};
}

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
    Engine(Cudnn& shared, const Geometry& geometry, Direction direction)
        : CudnnEngine(shared, fmt::format("{} convolution", text_of(direction))) {
        const bool tf32 = is_tf32(shared, geometry);
        describe(geometry, direction);
        const auto bytes = [](std::int64_t elements, DType dtype) {
            return static_cast<std::size_t>(elements) * size_of(dtype);
        };
        choose(key(shared, geometry, direction), unwanted_notes(geometry, tf32),
               {{large_uid, bytes(geometry.large.elements(), geometry.dtype)},
                {small_uid, bytes(geometry.small.elements(), geometry.dtype)},
                {weight_uid, bytes(geometry.weights(), DType::f32)}});
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
            // Sums are f32; for an f32 result of 16-bit maps cuDNN has a single engine, five times slower
            // than others.
            give_out(graph().conv_wgrad(graph().tensor(small), graph().tensor(large),
                                        configured(fe::graph::Conv_wgrad_attributes())),
                     weight_as(g.dtype));
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

  public:
    static bool is_tf32(const Cudnn& shared, const Geometry& geometry) {
        return geometry.dtype == DType::f32 && shared.float32 == Float32Products::tf32;
    }
    static EngineKey key(const Cudnn& shared, const Geometry& g, Direction direction) {
        return {shared.device_name,
                fmt::format("cudnn {}", cudnnGetVersion()),
                text_of(direction),
                is_tf32(shared, g) ? "tf32" : std::string(name_of(g.dtype)),
                {g.large.batch(), g.large.height(), g.large.width(), g.large.channels(), g.small.height(),
                 g.small.width(), g.small.channels(), g.kernel, g.stride, g.padding, g.dilation, g.groups}};
    }
};

/// Workspaces: the engine's, then maps with channels filled up, then the weights' gradient as cuDNN leaves
/// it. The weights are cast and filled up once per change, in memory of the plan's own.
template <typename T, typename Op>
class ConvolutionPlan final : public device::OpPlan {
    static constexpr bool transposed = std::is_same_v<Op, ops::TransposedConvolution>;
    static constexpr bool casts = !std::is_same_v<T, float>;

  public:
    ConvolutionPlan(const Op& op, const device::PlanRequest& request, const std::shared_ptr<Cudnn>& shared)
        : shared_(shared),
          queue_(shared->queue),
          input_(request.descriptor.inputs[0].shape),
          output_(request.descriptor.outputs[0].shape),
          has_bias_(request.descriptor.inputs.size() > 2),
          biases_(output_.pixels(), output_.channels()) {
        Geometry geometry = geometry_of(op, request.descriptor);
        const std::int64_t unit =
            channel_unit(geometry.dtype, Engine::is_tf32(*shared, geometry), geometry.groups);
        padded_input_ = padded(input_, unit);
        padded_output_ = padded(output_, unit);
        weights_ = {geometry.small.channels(), geometry.kernel * geometry.kernel,
                    geometry.large.channels() / geometry.groups,
                    padded_channels(geometry.small.channels(), unit),
                    padded_channels(geometry.large.channels(), unit) / geometry.groups};
        geometry.large = transposed ? padded_output_ : padded_input_;
        geometry.small = transposed ? padded_input_ : padded_output_;
        const auto wants = [&](std::size_t i) {
            return i < request.gradient_wanted.size() && request.gradient_wanted[i];
        };
        forward_ = &engine(geometry, transposed ? Direction::data : Direction::forward);
        if (wants(0) && reason().empty()) {
            data_ = &engine(geometry, transposed ? Direction::forward : Direction::data);
        }
        if (wants(1) && reason().empty()) weight_ = &engine(geometry, Direction::weight);
        require(wants(2));
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
        if (keeps_weights() && inputs[1]) {
            launch_cast_padded(queue_, inputs[1].as<float>(), reinterpret_cast<T*>(persistent), weights_);
        }
    }

    void forward(const device::ForwardArguments& arguments) override {
        const Places at(*this, *forward_, arguments.workspace);
        void* const x = filled_up(arguments.inputs[0].data, at.input, input_, padded_input_);
        T* const result = arguments.outputs[0].as<T>();
        T* const y = pads_output() ? at.output : result;
        forward_->run(transposed ? y : x, transposed ? x : y, weight(arguments.inputs, arguments.persistent),
                      arguments.workspace);
        if (pads_output()) {
            launch_strip(queue_, y, result, output_.pixels(), output_.channels(), padded_output_.channels());
        }
        if (has_bias_) {
            launch_add_bias(queue_, result, arguments.inputs[2].as<float>(), output_.pixels(),
                            output_.channels());
        }
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& gradient = arguments.output_gradients[0][0];
        const Places at(*this, data_ ? *data_ : *forward_, weight_ ? *weight_ : *forward_,
                        arguments.workspace);
        void* const dy =
            data_ || weight_ ? filled_up(gradient.data, at.output, output_, padded_output_) : nullptr;
        if (const TensorView& target = arguments.input_gradients[0].view; target) {
            T* const dx = pads_input() ? at.input : target.as<T>();
            data_->run(transposed ? dy : dx, transposed ? dx : dy,
                       weight(arguments.inputs, arguments.persistent), arguments.workspace);
            if (pads_input()) {
                launch_strip(queue_, dx, target.as<T>(), input_.pixels(), input_.channels(),
                             padded_input_.channels());
            }
        }
        if (const device::GradientTarget& dweight = arguments.input_gradients[1]; dweight.view) {
            void* const x = filled_up(arguments.inputs[0].data, at.input, input_, padded_input_);
            // cuDNN's gradient may be of another type or size than the weights'.
            const bool is_taken = keeps_weights() || dweight.write == device::GradientWrite::accumulate;
            void* const fresh = is_taken ? static_cast<void*>(at.weights) : dweight.view.data;
            weight_->run(transposed ? dy : x, transposed ? x : dy, fresh, arguments.workspace);
            if (is_taken) launch_take_padded(queue_, at.weights, parameter_gradient(dweight), weights_);
        }
        if (!has_bias_) return;
        if (const auto target = parameter_gradient(arguments.input_gradients[2]); target) {
            launch_bias_gradient(queue_, biases_, Terms<T>{gradient.as<T>()}, target,
                                 reinterpret_cast<double*>(arguments.workspace));
        }
    }

  private:
    /// What lies behind the engines' own workspace.
    struct Places {
        T *input, *output, *weights;

        Places(const ConvolutionPlan& plan, const Engine& engine, std::byte* workspace)
            : Places(plan, engine, engine, workspace) {}
        Places(const ConvolutionPlan& plan, const Engine& one, const Engine& other, std::byte* workspace) {
            Carver memory(workspace + device::aligned(std::max(one.workspace(), other.workspace())));
            input = memory.take<T>(plan.pads_input() ? plan.padded_input_.elements() : 0);
            output = memory.take<T>(plan.pads_output() ? plan.padded_output_.elements() : 0);
            weights = memory.take<T>(0);
        }
    };

    bool pads_input() const { return padded_input_ != input_; }
    bool pads_output() const { return padded_output_ != output_; }
    bool keeps_weights() const { return casts || pads_input() || pads_output(); }

    void require(bool wants_bias) {
        const std::size_t maps = (pads_input() ? carved<T>(padded_input_.elements()) : 0) +
                                 (pads_output() ? carved<T>(padded_output_.elements()) : 0);
        requirements_.forward_workspace = device::aligned(forward_->workspace()) + maps;
        if (data_ || weight_) {
            std::size_t engines = forward_->workspace();
            if (data_) engines = std::max(engines, data_->workspace());
            if (weight_) engines = std::max(engines, weight_->workspace());
            requirements_.backward_workspace =
                device::aligned(engines) + maps + (weight_ ? carved<T>(weights_.padded_elements()) : 0);
        }
        if (wants_bias) {
            requirements_.backward_workspace = std::max(requirements_.backward_workspace, biases_.bytes(1));
        }
        if (keeps_weights()) requirements_.persistent = carved<T>(weights_.padded_elements());
    }

    /// The map itself, or its copy with channels filled up, which is queued.
    void* filled_up(std::byte* map, T* copy, const Shape& shape, const Shape& padded_shape) const {
        if (padded_shape == shape) return map;
        launch_pad(queue_, reinterpret_cast<const T*>(map), copy, shape.pixels(), shape.channels(),
                   padded_shape.channels());
        return copy;
    }
    std::byte* weight(std::span<const TensorView> inputs, std::byte* persistent) const {
        return keeps_weights() ? persistent : inputs[1].data;
    }

    Engine& engine(const Geometry& geometry, Direction direction) const {
        return static_cast<Engine&>(shared_->engine(
            Engine::key(*shared_, geometry, direction), [&]() -> std::unique_ptr<CudnnEngine> {
                return std::make_unique<Engine>(*shared_, geometry, direction);
            }));
    }
    static Geometry geometry_of(const Op& op, const ops::OpDescriptor& descriptor) {
        const Shape &x = descriptor.inputs[0].shape, &y = descriptor.outputs[0].shape;
        if constexpr (transposed) {
            return {y, x, op.kernel, op.stride, op.padding, 1, 1, dtype_of<T>};
        } else {
            return {x, y, op.kernel, op.stride, op.padding, op.dilation, op.groups, dtype_of<T>};
        }
    }

    std::shared_ptr<Cudnn> shared_;
    Queue queue_;
    Shape input_, output_, padded_input_, padded_output_;
    WeightPadding weights_{};
    bool has_bias_;
    ColumnGeometry biases_;
    Engine *forward_ = nullptr, *data_ = nullptr, *weight_ = nullptr;
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
