// Convolutions by cuDNN's graph API, and transposed ones by their data gradient.
#include <cudnn_frontend.h>

#include "cuda/libraries.hpp"
#include "cuda/parameter_kernels.hpp"
#include "cuda/plan.hpp"
#include "cuda/runtime.hpp"

namespace terrane::cuda {

namespace fe = cudnn_frontend;

namespace {

void check_cudnn(cudnnStatus_t status, const char* call) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw Error(
        ExitCode::device_unavailable, 714,
        fmt::format("cuDNN call {} failed: {}.", call, cudnnGetErrorString(status)),
        "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be restarted.");
}

}  // namespace

#define TERRANE_CUDNN_CHECK(call) check_cudnn((call), #call)

class Convolutions {
  public:
    Convolutions(Queue stream, const std::string& device, EngineChoices& kept)
        : queue(stream), device_name(device), choices(kept) {
        TERRANE_CUDNN_CHECK(cudnnCreate(&handle));
        TERRANE_CUDNN_CHECK(cudnnSetStream(handle, queue.stream));
    }
    ~Convolutions() { static_cast<void>(cudnnDestroy(handle)); }
    Convolutions(const Convolutions&) = delete;
    Convolutions& operator=(const Convolutions&) = delete;

    Queue queue;
    std::string device_name;
    EngineChoices& choices;
    cudnnHandle_t handle = nullptr;
};

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

fe::DataType_t type_of(DType dtype) {
    return dtype == DType::bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::FLOAT;
}

/// cuDNN names sizes batch, channels, height, width whatever the layout; ours is channels last.
fe::graph::Tensor_attributes tensor_of(const char* name, std::int64_t uid, std::int64_t n, std::int64_t h,
                                       std::int64_t w, std::int64_t c, DType dtype) {
    return fe::graph::Tensor_attributes()
        .set_name(name)
        .set_uid(uid)
        .set_dim({n, c, h, w})
        .set_stride({h * w * c, 1, w * c, c})
        .set_data_type(type_of(dtype));
}
fe::graph::Tensor_attributes map_of(const char* name, std::int64_t uid, const Shape& shape, DType dtype) {
    return tensor_of(name, uid, shape.batch(), shape.height(), shape.width(), shape.channels(), dtype);
}

/// One direction of one convolution: engine chosen and built.
class Engine {
  public:
    Engine(const std::shared_ptr<Convolutions>& shared, const Geometry& geometry, Direction direction)
        : shared_(shared), geometry_(geometry), direction_(direction) {
        describe();
        if (reason_.empty()) choose();
    }

    /// Empty if the engine can run.
    const std::string& reason() const { return reason_; }
    std::size_t workspace() const { return workspace_; }
    const std::string& name() const { return name_; }

    void run(void* large, void* small, void* weight, std::byte* workspace) {
        std::unordered_map<std::int64_t, void*> pointers{
            {large_uid, large}, {small_uid, small}, {weight_uid, weight}};
        fe::error_t status = graph_.execute_plan_at_index(shared_->handle, pointers, workspace, index_);
        if (status.is_good()) return;
        throw Error(ExitCode::device_unavailable, 714,
                    fmt::format("cuDNN's {} convolution ({}) failed: {}.", text_of(direction_), name_,
                                status.get_message()),
                    "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be "
                    "restarted.");
    }

  private:
    bool fails(fe::error_t status) {
        if (status.is_good()) return false;
        reason_ = fmt::format("{} convolution: {}", text_of(direction_), status.get_message());
        return true;
    }

    std::int64_t weight_elements() const {
        return geometry_.small.channels() * geometry_.kernel * geometry_.kernel * geometry_.large.channels() /
               geometry_.groups;
    }

    void describe() {
        const Geometry& g = geometry_;
        graph_.set_intermediate_data_type(fe::DataType_t::FLOAT).set_compute_data_type(fe::DataType_t::FLOAT);
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
        if (direction_ == Direction::forward) {
            give_out(graph_.conv_fprop(graph_.tensor(large), graph_.tensor(weight_as(g.dtype)),
                                       configured(fe::graph::Conv_fprop_attributes())),
                     small);
        } else if (direction_ == Direction::data) {
            give_out(graph_.conv_dgrad(graph_.tensor(small), graph_.tensor(weight_as(g.dtype)),
                                       configured(fe::graph::Conv_dgrad_attributes())),
                     large);
        } else {
            // Gradients of parameters are f32 whatever the activations are.
            give_out(graph_.conv_wgrad(graph_.tensor(small), graph_.tensor(large),
                                       configured(fe::graph::Conv_wgrad_attributes())),
                     weight_as(DType::f32));
        }
        if (fails(graph_.validate()) || fails(graph_.build_operation_graph(shared_->handle)) ||
            fails(graph_.create_execution_plans(
                {fe::HeurMode_t::A, fe::HeurMode_t::B, fe::HeurMode_t::FALLBACK}))) {
            return;
        }
        using Note = fe::NumericalNote_t;
        std::vector<Note> unwanted{Note::NONDETERMINISTIC,  Note::REDUCED_PRECISION_REDUCTION,
                                   Note::WINOGRAD,          Note::WINOGRAD_TILE_4x4,
                                   Note::WINOGRAD_TILE_6x6, Note::WINOGRAD_TILE_13x13};
        if (g.dtype == DType::f32) {
            unwanted.insert(unwanted.end(), {Note::TENSOR_CORE, Note::DOWN_CONVERT_INPUTS});
        }
        graph_.deselect_numeric_notes(unwanted);
        if (fails(graph_.check_support())) return;
    }

    std::string key() const {
        const Geometry& g = geometry_;
        return EngineKey{
            shared_->device_name,
            fmt::format("cudnn {}", cudnnGetVersion()),
            text_of(direction_),
            std::string(name_of(g.dtype)),
            {g.large.batch(), g.large.height(), g.large.width(), g.large.channels(), g.small.height(),
             g.small.width(), g.small.channels(), g.kernel, g.stride, g.padding, g.dilation, g.groups}}
            .text();
    }

    /// The engine that was the fastest before, or the fastest now of all that can be built.
    void choose() {
        const std::string known = shared_->choices.find(key());
        std::vector<std::int64_t> built;
        for (std::int64_t i = 0; i < graph_.get_execution_plan_count(); ++i) {
            std::string candidate;
            if (graph_.get_plan_name_at_index(i, candidate).is_bad()) continue;
            if (!known.empty() && candidate != known) continue;
            if (graph_.build_plan_at_index(i).is_good()) built.push_back(i);
        }
        if (built.empty() && !known.empty()) return choose_again();
        if (built.empty()) {
            reason_ = fmt::format("{} convolution: no engine that always sums in the same order can be built",
                                  text_of(direction_));
            return;
        }
        use(built.size() == 1 ? built[0] : fastest(built));
        if (known.empty() && reason_.empty()) shared_->choices.keep(key(), name_);
    }

    /// What was kept does not exist any more.
    void choose_again() {
        std::vector<std::int64_t> built;
        for (std::int64_t i = 0; i < graph_.get_execution_plan_count(); ++i) {
            if (graph_.build_plan_at_index(i).is_good()) built.push_back(i);
        }
        if (built.empty()) {
            reason_ = fmt::format("{} convolution: no engine can be built", text_of(direction_));
            return;
        }
        use(fastest(built));
        shared_->choices.keep(key(), name_);
    }

    void use(std::int64_t index) {
        index_ = index;
        workspace_ = static_cast<std::size_t>(
            std::max<std::int64_t>(0, graph_.get_workspace_size_plan_at_index(index)));
        static_cast<void>(graph_.get_plan_name_at_index(index, name_));
    }

    /// Runs every candidate on scratch memory, three times after a warm-up, and takes the one with the
    /// shortest run.
    std::int64_t fastest(const std::vector<std::int64_t>& candidates) {
        std::int64_t most = 0;
        for (const std::int64_t i : candidates)
            most = std::max(most, graph_.get_workspace_size_plan_at_index(i));
        const std::size_t element = size_of(geometry_.dtype);
        const auto scratch = [&](std::size_t bytes) {
            device::Buffer buffer = allocate_device(bytes, shared_->queue);
            // Zeros are multiplied faster than what networks hold; these bytes are numbers around 0.7.
            TERRANE_CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0x3f, bytes, shared_->queue.stream));
            return buffer;
        };
        const device::Buffer large = scratch(static_cast<std::size_t>(geometry_.large.elements()) * element);
        const device::Buffer small = scratch(static_cast<std::size_t>(geometry_.small.elements()) * element);
        const device::Buffer weight = scratch(static_cast<std::size_t>(weight_elements()) * sizeof(float));
        const device::Buffer workspace = scratch(static_cast<std::size_t>(std::max<std::int64_t>(most, 1)));
        cudaEvent_t begin = nullptr, end = nullptr;
        TERRANE_CUDA_CHECK(cudaEventCreate(&begin));
        TERRANE_CUDA_CHECK(cudaEventCreate(&end));
        std::int64_t best = candidates[0];
        float best_time = -1;
        for (const std::int64_t i : candidates) {
            index_ = i;
            try {
                run(large.data(), small.data(), weight.data(), workspace.data());
                for (int repeat = 0; repeat < 3; ++repeat) {
                    TERRANE_CUDA_CHECK(cudaEventRecord(begin, shared_->queue.stream));
                    run(large.data(), small.data(), weight.data(), workspace.data());
                    TERRANE_CUDA_CHECK(cudaEventRecord(end, shared_->queue.stream));
                    TERRANE_CUDA_CHECK(cudaEventSynchronize(end));
                    float time = 0;
                    TERRANE_CUDA_CHECK(cudaEventElapsedTime(&time, begin, end));
                    if (best_time >= 0 && time >= best_time) continue;
                    best_time = time;
                    best = i;
                }
            } catch (const Error&) {
                continue;  // an engine that fails is not a candidate
            }
        }
        static_cast<void>(cudaEventDestroy(begin));
        static_cast<void>(cudaEventDestroy(end));
        return best;
    }

    std::shared_ptr<Convolutions> shared_;
    Geometry geometry_;
    Direction direction_;
    fe::graph::Graph graph_;
    std::int64_t index_ = 0;
    std::size_t workspace_ = 0;
    std::string name_, reason_;
};

/// Workspaces: the engine's; for an accumulated weight gradient, the fresh one behind it. Weights of bf16
/// convolutions are cast once per change into memory of the plan's own.
template <typename T, typename Op>
class ConvolutionPlan final : public device::OpPlan {
    static constexpr bool transposed = std::is_same_v<Op, ops::TransposedConvolution>;
    static constexpr bool casts = !std::is_same_v<T, float>;

  public:
    ConvolutionPlan(const Op& op, const device::PlanRequest& request,
                    const std::shared_ptr<Convolutions>& shared)
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
                                     const std::shared_ptr<Convolutions>& shared, std::string& reason) {
    const auto offer = [&](auto plan) -> std::unique_ptr<device::OpPlan> {
        reason = plan->reason();
        if (reason.empty()) return plan;
        return nullptr;
    };
    const DType dtype = request.descriptor.inputs[0].dtype;
    if (dtype == DType::f32) return offer(std::make_unique<ConvolutionPlan<float, Op>>(op, request, shared));
    if (dtype == DType::bf16)
        return offer(std::make_unique<ConvolutionPlan<bfloat16, Op>>(op, request, shared));
    reason = fmt::format("it takes f32 and bf16, not {}", name_of(dtype));
    return nullptr;
}

}  // namespace

std::shared_ptr<Convolutions> make_convolutions(Queue queue, const std::string& device_name,
                                                EngineChoices& choices) {
    return std::make_shared<Convolutions>(queue, device_name, choices);
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::Convolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Convolutions>& convolutions,
                                                      std::string& reason) {
    return make(op, request, convolutions, reason);
}
std::unique_ptr<device::OpPlan> make_convolution_plan(const ops::TransposedConvolution& op,
                                                      const device::PlanRequest& request,
                                                      const std::shared_ptr<Convolutions>& convolutions,
                                                      std::string& reason) {
    return make(op, request, convolutions, reason);
}

}  // namespace terrane::cuda
