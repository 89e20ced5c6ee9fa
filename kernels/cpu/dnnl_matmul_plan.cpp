#include <array>
#include <optional>

#include "cpu/dnnl_layer_pass.hpp"
#include "cpu/plans.hpp"
#include "device/buffer.hpp"

/// Batched products of two activations. A transposed operand is a view with its strides exchanged, so nothing
/// is ever turned in memory.
namespace terrane::cpu {

namespace {

using dnnl::memory;
using onednn::Desc;
using onednn::Described;
using onednn::Operand;
using onednn::Primitive;

/// A rank-3 tensor as stored, or read with rows and columns exchanged.
Desc matrix(const TensorSpec& spec, memory::data_type type, bool transposed) {
    const Shape& shape = spec.shape;
    const std::int64_t rows = shape[1], columns = shape[2];
    if (!transposed) return Desc({shape[0], rows, columns}, type, memory::dims{rows * columns, columns, 1});
    return Desc({shape[0], columns, rows}, type, memory::dims{rows * columns, 1, columns});
}

/// The operands of one product as terrane stores them.
struct Matrices {
    TensorSpec left, right, result;
    bool turn_left = false, turn_right = false;

    Desc left_desc(memory::data_type type) const { return matrix(left, type, turn_left); }
    Desc right_desc(memory::data_type type) const { return matrix(right, type, turn_right); }
    Desc result_desc(memory::data_type type) const { return matrix(result, type, false); }
};

/// One product. Where the machine has no bf16 arithmetic, f32 copies of the operands and the library's
/// scratchpad lie in the workspace.
class Product {
  public:
    Product(const Matrices& matrices, memory::data_type stored, const Described& described)
        : implementation_(described.implementation),
          left_(matrices.left_desc(stored), described.source, Operand::Direction::read, workspace_),
          right_(matrices.right_desc(stored), described.weights, Operand::Direction::read, workspace_),
          result_(matrices.result_desc(stored), described.destination, Operand::Direction::written,
                  workspace_),
          scratchpad_offset_(workspace_),
          primitive_(described.primitive) {
        if (left_.copied()) implementation_ += "+reorder";
        workspace_ += device::aligned(primitive_.scratchpad_bytes());
        primitive_.attach(DNNL_ARG_SRC, described.source);
        primitive_.attach(DNNL_ARG_WEIGHTS, described.weights);
        primitive_.attach(DNNL_ARG_DST, described.destination);
    }

    void run(const std::byte* left, const std::byte* right, std::byte* result, std::byte* workspace) {
        primitive_.set(DNNL_ARG_SRC, left_.enter(left, workspace));
        primitive_.set(DNNL_ARG_WEIGHTS, right_.enter(right, workspace));
        primitive_.set(DNNL_ARG_DST, result_.enter(result, workspace));
        primitive_.set(DNNL_ARG_SCRATCHPAD, workspace + scratchpad_offset_);
        primitive_.run();
        result_.leave(result, workspace);
    }
    const std::string& implementation() const { return implementation_; }
    std::size_t workspace_bytes() const { return workspace_; }

  private:
    std::size_t workspace_ = 0;
    std::string implementation_;
    Operand left_, right_, result_;
    std::size_t scratchpad_offset_;
    Primitive primitive_;
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
        const auto product = [&](const Matrices& matrices, std::optional<Product>& into,
                                 std::size_t& workspace) {
            std::string offers;
            for (const memory::data_type compute : {type, memory::data_type::f32}) {
                const Described described =
                    onednn::describe_product(matrices.left_desc(compute), matrices.right_desc(compute),
                                             matrices.result_desc(compute), op.scale);
                if (described && !described.is_reference()) {
                    into.emplace(matrices, type, described);
                    workspace = std::max(workspace, into->workspace_bytes());
                    return;
                }
                offers += offers.empty() ? "" : ", in f32 ";
                offers += described ? described.implementation : "nothing";
            }
            reason = fmt::format("oneDNN {} on {} offers {}", onednn::version(), onednn::instruction_set(),
                                 offers);
        };
        const bool turn_a = op.transpose_a == ops::Transpose::yes;
        const bool turn_b = op.transpose_b == ops::Transpose::yes;
        const TensorSpec &a = inputs[0], &b = inputs[1], &c = request.descriptor.outputs[0];
        device::Requirements& needs = plan->requirements_;
        product({a, b, c, turn_a, turn_b}, plan->forward_, needs.forward_workspace);
        const auto wanted = [&](std::size_t input) {
            return request.mode == device::Mode::training && input < request.gradient_wanted.size() &&
                   request.gradient_wanted[input];
        };
        // With op(a) * op(b) = c: d op(a) = dc * op(b)^T and d op(b) = op(a)^T * dc; a transposed operand's
        // gradient is the transposed product, formed in the stored orientation.
        if (wanted(0) && reason.empty()) {
            const Matrices matrices =
                turn_a ? Matrices{b, c, a, turn_b, true} : Matrices{c, b, a, false, !turn_b};
            product(matrices, plan->backward_a_, needs.backward_workspace);
        }
        if (wanted(1) && reason.empty()) {
            const Matrices matrices =
                turn_b ? Matrices{c, a, b, true, turn_a} : Matrices{a, c, b, !turn_a, false};
            product(matrices, plan->backward_b_, needs.backward_workspace);
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
