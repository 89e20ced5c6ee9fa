#include <array>
#include <optional>

#include "cpu/dnnl_primitives.hpp"
#include "cpu/plans.hpp"
#include "device/buffer.hpp"

/// Batched products of two activations. A transposed operand is a view with its strides exchanged, so nothing
/// is ever turned in memory.
namespace terrane::cpu {

namespace {

using dnnl::memory;
using onednn::Desc;
using onednn::Described;
using onednn::Primitive;

/// A rank-3 tensor as stored, or read with rows and columns exchanged.
Desc matrix(const TensorSpec& spec, memory::data_type type, bool transposed) {
    const Shape& shape = spec.shape;
    const std::int64_t rows = shape[1], columns = shape[2];
    if (!transposed) return Desc({shape[0], rows, columns}, type, memory::dims{rows * columns, columns, 1});
    return Desc({shape[0], columns, rows}, type, memory::dims{rows * columns, 1, columns});
}

/// One product, with its scratchpad in the workspace.
class Product {
  public:
    Product(const Described& described)
        : primitive_(described.primitive), implementation_(described.implementation) {
        primitive_.attach(DNNL_ARG_SRC, described.source);
        primitive_.attach(DNNL_ARG_WEIGHTS, described.weights);
        primitive_.attach(DNNL_ARG_DST, described.destination);
    }

    void run(const std::byte* left, const std::byte* right, std::byte* result, std::byte* workspace) {
        primitive_.set(DNNL_ARG_SRC, left);
        primitive_.set(DNNL_ARG_WEIGHTS, right);
        primitive_.set(DNNL_ARG_DST, result);
        primitive_.set(DNNL_ARG_SCRATCHPAD, workspace);
        primitive_.run();
    }
    const std::string& implementation() const { return implementation_; }
    std::size_t workspace_bytes() const { return device::aligned(primitive_.scratchpad_bytes()); }

  private:
    Primitive primitive_;
    std::string implementation_;
};

class MatMulPlan final : public device::OpPlan {
  public:
    static Offer make(const device::PlanRequest& request) {
        const auto& op = std::get<ops::MatMul>(request.descriptor.op);
        const auto& inputs = request.descriptor.inputs;
        memory::data_type type = memory::data_type::f32;
        if (inputs[0].dtype == DType::bf16) {
            type = memory::data_type::bf16;
        } else if (inputs[0].dtype != DType::f32) {
            return Refusal{fmt::format("operands are f32 or bf16, not {}", name_of(inputs[0].dtype))};
        }
        auto plan = std::unique_ptr<MatMulPlan>(new MatMulPlan(op));
        std::string reason;
        const auto product = [&](const Desc& left, const Desc& right, const Desc& result,
                                 std::optional<Product>& into, std::size_t& workspace) {
            const Described described = onednn::describe_product(left, right, result, op.scale);
            if (!described || described.is_reference()) {
                reason = fmt::format("oneDNN {} offers {}", onednn::version(),
                                     described ? described.implementation : "nothing");
                return;
            }
            into.emplace(described);
            workspace = std::max(workspace, into->workspace_bytes());
        };
        const bool turn_a = op.transpose_a == ops::Transpose::yes;
        const bool turn_b = op.transpose_b == ops::Transpose::yes;
        const TensorSpec &a = inputs[0], &b = inputs[1], &c = request.descriptor.outputs[0];
        device::Requirements& needs = plan->requirements_;
        product(matrix(a, type, turn_a), matrix(b, type, turn_b), matrix(c, type, false), plan->forward_,
                needs.forward_workspace);
        const auto wanted = [&](std::size_t input) {
            return request.mode == device::Mode::training && input < request.gradient_wanted.size() &&
                   request.gradient_wanted[input];
        };
        // With op(a) * op(b) = c: d op(a) = dc * op(b)^T and d op(b) = op(a)^T * dc; a transposed operand's
        // gradient is the transposed product, formed in the stored orientation.
        if (wanted(0) && reason.empty()) {
            if (turn_a) {
                product(matrix(b, type, turn_b), matrix(c, type, true), matrix(a, type, false),
                        plan->backward_a_, needs.backward_workspace);
            } else {
                product(matrix(c, type, false), matrix(b, type, !turn_b), matrix(a, type, false),
                        plan->backward_a_, needs.backward_workspace);
            }
        }
        if (wanted(1) && reason.empty()) {
            if (turn_b) {
                product(matrix(c, type, true), matrix(a, type, turn_a), matrix(b, type, false),
                        plan->backward_b_, needs.backward_workspace);
            } else {
                product(matrix(a, type, !turn_a), matrix(c, type, false), matrix(b, type, false),
                        plan->backward_b_, needs.backward_workspace);
            }
        }
        if (!reason.empty()) return Refusal{reason};
        return plan;
    }

    std::string implementation() const override { return "dnnl:" + forward_->implementation(); }

    void forward(const device::ForwardArguments& arguments) override {
        forward_->run(arguments.inputs[0].data, arguments.inputs[1].data, arguments.outputs[0].data,
                      arguments.workspace);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const std::byte* dc = arguments.output_gradients[0][0].data;
        const std::byte* a = arguments.inputs[0].data;
        const std::byte* b = arguments.inputs[1].data;
        if (const TensorView& da = arguments.input_gradients[0].view) {
            if (op_.transpose_a == ops::Transpose::yes) {
                backward_a_->run(b, dc, da.data, arguments.workspace);
            } else {
                backward_a_->run(dc, b, da.data, arguments.workspace);
            }
        }
        if (const TensorView& db = arguments.input_gradients[1].view) {
            if (op_.transpose_b == ops::Transpose::yes) {
                backward_b_->run(dc, a, db.data, arguments.workspace);
            } else {
                backward_b_->run(a, dc, db.data, arguments.workspace);
            }
        }
    }

  private:
    explicit MatMulPlan(const ops::MatMul& op) : op_(op) {}

    ops::MatMul op_;
    std::optional<Product> forward_, backward_a_, backward_b_;
};

constexpr std::array matmul_candidates{Candidate{"dnnl", MatMulPlan::make}};

}  // namespace

std::span<const Candidate> candidates(const ops::MatMul&) {
    return matmul_candidates;
}

}  // namespace terrane::cpu
