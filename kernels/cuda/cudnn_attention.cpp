// Attention by cuDNN's fused kernels, which never hold the matrix of probabilities.
#include <bit>

#include "cuda/cudnn_engine.hpp"
#include "cuda/plan.hpp"

namespace terrane::cuda {

namespace fe = cudnn_frontend;

namespace {

using Geometry = ops::AttentionGeometry;

enum Uid : std::int64_t { query = 1, key, value, output, statistics, dquery, dkey, dvalue, doutput };

/// Heads of tokens in rows of `stride` elements, in cuDNN's order of sizes: batch, heads, tokens, channels.
fe::graph::Tensor_attributes heads_of(const char* name, Uid uid, const Geometry& g, std::int64_t tokens,
                                      std::int64_t stride, DType dtype) {
    return fe::graph::Tensor_attributes()
        .set_name(name)
        .set_uid(uid)
        .set_dim({g.batch, g.heads, tokens, g.width})
        .set_stride({tokens * stride, g.width, stride, 1})
        .set_data_type(cudnn_type_of(dtype));
}
/// Log of the sum of exponentials, per query.
fe::graph::Tensor_attributes statistics_of(const Geometry& g) {
    return fe::graph::Tensor_attributes()
        .set_name("statistics")
        .set_uid(Uid::statistics)
        .set_dim({g.batch, g.heads, g.queries, 1})
        .set_stride({g.heads * g.queries, g.queries, 1, 1})
        .set_data_type(fe::DataType_t::FLOAT);
}
void give_out(const std::shared_ptr<fe::graph::Tensor_attributes>& result,
              const fe::graph::Tensor_attributes& like) {
    result->set_output(true)
        .set_uid(like.get_uid())
        .set_dim(like.get_dim())
        .set_stride(like.get_stride())
        .set_data_type(like.get_data_type());
}

/// Engines for both passes. Gradients come in rows of their own, tightly packed, or in the rows of the
/// operand.
class Engines {
  public:
    Engines(const std::shared_ptr<Cudnn>& shared, const Geometry& geometry, DType dtype, bool trains)
        : shared_(shared), geometry_(geometry), dtype_(dtype) {
        forward = &shared_->engine(key(trains ? "forward" : "inference"), [&] {
            auto engine = std::make_unique<CudnnEngine>(*shared_, "attention");
            describe_forward(*engine, trains);
            return engine;
        });
        if (!trains || !forward->reason().empty()) return;
        backward = &shared_->engine(key("backward"), [&] {
            auto engine = std::make_unique<CudnnEngine>(*shared_, "gradient of attention");
            describe_backward(*engine);
            return engine;
        });
    }
    std::string reason() const { return forward->reason() + (backward ? backward->reason() : ""); }

    CudnnEngine *forward = nullptr, *backward = nullptr;

  private:
    fe::graph::Tensor_attributes operand(const char* name, Uid uid, const Geometry::Operand& from,
                                         std::int64_t tokens) const {
        return heads_of(name, uid, geometry_, tokens, from.stride, dtype_);
    }
    fe::graph::Tensor_attributes result(const char* name, Uid uid) const {
        return heads_of(name, uid, geometry_, geometry_.queries, geometry_.heads * geometry_.width, dtype_);
    }
    std::size_t bytes(std::int64_t tokens, std::int64_t stride) const {
        return static_cast<std::size_t>(geometry_.batch * tokens * stride) * size_of(dtype_);
    }
    EngineKey key(const char* direction) const {
        const Geometry& g = geometry_;
        return {shared_->device_name,
                fmt::format("cudnn {}", cudnnGetVersion()),
                fmt::format("attention {}", direction),
                std::string(name_of(dtype_)),
                {g.batch, g.heads, g.queries, g.keys, g.width, g.query.stride, g.key.stride, g.value.stride,
                 std::bit_cast<std::int32_t>(static_cast<float>(g.scale))}};
    }
    std::vector<CudnnEngine::Operand> inputs() const {
        const Geometry& g = geometry_;
        return {{Uid::query, bytes(g.queries, g.query.stride)},
                {Uid::key, bytes(g.keys, g.key.stride)},
                {Uid::value, bytes(g.keys, g.value.stride)},
                {Uid::output, bytes(g.queries, g.heads * g.width)},
                {Uid::statistics, static_cast<std::size_t>(g.batch * g.heads * g.queries) * sizeof(float)}};
    }

    void describe_forward(CudnnEngine& engine, bool trains) const {
        const Geometry& g = geometry_;
        fe::graph::Graph& graph = engine.graph();
        graph.set_io_data_type(cudnn_type_of(dtype_));
        const auto [y, stats] = graph.sdpa(graph.tensor(operand("query", Uid::query, g.query, g.queries)),
                                           graph.tensor(operand("key", Uid::key, g.key, g.keys)),
                                           graph.tensor(operand("value", Uid::value, g.value, g.keys)),
                                           fe::graph::SDPA_attributes()
                                               .set_name("attention")
                                               .set_generate_stats(trains)
                                               .set_attn_scale(static_cast<float>(g.scale)));
        give_out(y, result("output", Uid::output));
        if (trains) give_out(stats, statistics_of(g));
        std::vector<CudnnEngine::Operand> operands = inputs();
        if (!trains) operands.pop_back();
        engine.choose(key(trains ? "forward" : "inference"), {fe::NumericalNote_t::NONDETERMINISTIC},
                      operands);
    }

    void describe_backward(CudnnEngine& engine) const {
        const Geometry& g = geometry_;
        fe::graph::Graph& graph = engine.graph();
        graph.set_io_data_type(cudnn_type_of(dtype_));
        const auto [dq, dk, dv] = graph.sdpa_backward(
            graph.tensor(operand("query", Uid::query, g.query, g.queries)),
            graph.tensor(operand("key", Uid::key, g.key, g.keys)),
            graph.tensor(operand("value", Uid::value, g.value, g.keys)),
            graph.tensor(result("output", Uid::output)),
            graph.tensor(result("output gradient", Uid::doutput)), graph.tensor(statistics_of(g)),
            fe::graph::SDPA_backward_attributes()
                .set_name("gradient of attention")
                .set_deterministic_algorithm(true)
                .set_attn_scale(static_cast<float>(g.scale)));
        give_out(dq, operand("query gradient", Uid::dquery, g.query, g.queries));
        give_out(dk, operand("key gradient", Uid::dkey, g.key, g.keys));
        give_out(dv, operand("value gradient", Uid::dvalue, g.value, g.keys));
        std::vector<CudnnEngine::Operand> operands = inputs();
        operands.insert(operands.end(), {{Uid::dquery, bytes(g.queries, g.query.stride)},
                                         {Uid::dkey, bytes(g.keys, g.key.stride)},
                                         {Uid::dvalue, bytes(g.keys, g.value.stride)},
                                         {Uid::doutput, bytes(g.queries, g.heads * g.width)}});
        engine.choose(key("backward"), {fe::NumericalNote_t::NONDETERMINISTIC}, operands);
    }

    std::shared_ptr<Cudnn> shared_;
    Geometry geometry_;
    DType dtype_;
};

/// Saved: the statistics. Backward workspace: cuDNN's, then a place for the gradients that nobody wants,
/// since it computes all three.
class CudnnAttentionPlan final : public device::OpPlan {
  public:
    CudnnAttentionPlan(const ops::Attention& op, const device::PlanRequest& request,
                       const std::shared_ptr<Cudnn>& shared)
        : geometry_(op, request.descriptor.inputs),
          dtype_(request.descriptor.inputs[0].dtype),
          trains_(std::any_of(request.gradient_wanted.begin(), request.gradient_wanted.end(),
                              [](bool wanted) { return wanted; })),
          engines_(shared, geometry_, dtype_, trains_) {
        requirements_.forward_workspace = engines_.forward->workspace();
        if (!engines_.backward) return;
        requirements_.saved =
            static_cast<std::size_t>(geometry_.batch * geometry_.heads * geometry_.queries) * sizeof(float);
        for (const TensorSpec& input : request.descriptor.inputs) {
            unwanted_bytes_ = std::max(
                unwanted_bytes_, static_cast<std::size_t>(input.shape.elements()) * size_of(input.dtype));
        }
        const auto wanted = std::count(request.gradient_wanted.begin(), request.gradient_wanted.end(), true);
        if (wanted == static_cast<std::ptrdiff_t>(request.descriptor.inputs.size())) unwanted_bytes_ = 0;
        requirements_.backward_workspace = device::aligned(engines_.backward->workspace()) + unwanted_bytes_;
    }

    std::string reason() const { return engines_.reason(); }
    std::string implementation() const override { return "cudnn:" + engines_.forward->name(); }

    void forward(const device::ForwardArguments& arguments) override {
        CudnnEngine::Pointers pointers = operands(arguments.inputs);
        pointers[Uid::output] = arguments.outputs[0].data;
        if (trains_) pointers[Uid::statistics] = arguments.saved;
        engines_.forward->run(std::move(pointers), arguments.workspace);
    }

    void backward(const device::BackwardArguments& arguments) override {
        CudnnEngine::Pointers pointers = operands(arguments.inputs);
        pointers[Uid::statistics] = arguments.saved;
        pointers[Uid::output] = arguments.outputs[0].data;
        pointers[Uid::doutput] = arguments.output_gradients[0][0].data;
        std::byte* const unwanted = arguments.workspace + device::aligned(engines_.backward->workspace());
        const auto gradient = [&](const Geometry::Operand& of) -> std::byte* {
            const TensorView& view = arguments.input_gradients[of.input].view;
            return (view ? view.data : unwanted) + offset(of);
        };
        pointers[Uid::dquery] = gradient(geometry_.query);
        pointers[Uid::dkey] = gradient(geometry_.key);
        pointers[Uid::dvalue] = gradient(geometry_.value);
        engines_.backward->run(std::move(pointers), arguments.workspace);
    }

  private:
    std::size_t offset(const Geometry::Operand& operand) const {
        return static_cast<std::size_t>(operand.offset) * size_of(dtype_);
    }
    CudnnEngine::Pointers operands(std::span<const TensorView> inputs) const {
        const auto place = [&](const Geometry::Operand& of) -> void* {
            return inputs[of.input].data + offset(of);
        };
        return {{Uid::query, place(geometry_.query)},
                {Uid::key, place(geometry_.key)},
                {Uid::value, place(geometry_.value)}};
    }
    Geometry geometry_;
    DType dtype_;
    bool trains_;
    Engines engines_;
    std::size_t unwanted_bytes_ = 0;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_attention_plan(const ops::Attention& op,
                                                    const device::PlanRequest& request,
                                                    const std::shared_ptr<Cudnn>& cudnn,
                                                    std::string& reason) {
    const DType dtype = request.descriptor.inputs[0].dtype;
    const Geometry geometry(op, request.descriptor.inputs);
    if (dtype != DType::bf16 && dtype != DType::f16) {
        reason = fmt::format("its fused attention takes bf16 and f16, not {}", name_of(dtype));
    } else if (op.dropout > 0 && request.mode == device::Mode::training) {
        reason = "its dropout draws other numbers than ours, which do not depend on ranks or batches";
    } else if (geometry.width % 8 != 0) {
        reason = fmt::format("heads of {} channels are no multiple of 8", geometry.width);
    }
    if (!reason.empty()) return nullptr;
    auto plan = std::make_unique<CudnnAttentionPlan>(op, request, cudnn);
    reason = plan->reason();
    if (!reason.empty()) return nullptr;
    return plan;
}

}  // namespace terrane::cuda
