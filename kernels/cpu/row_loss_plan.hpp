#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/class_rows.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {

/// A loss that is a sum over pixels, each from its own logits. Forward computes the gradients of the logits
/// along with the loss and keeps them: the softmax is taken once per step, and backward is a copy.
/// `Row<slopes>` computes one row of one image:
///   static Row make(const Op&, const device::ForwardArguments&, std::int64_t classes, double* totals);
///   void operator()(const ClassRow&, std::int64_t height) const;   // adds to totals, per block {losses,
///   weights}
template <typename Op, template <RowGradient> typename Row, typename T>
class RowLossPlan final : public LoopPlan {
  public:
    explicit RowLossPlan(const device::PlanRequest& request)
        : op_(std::get<Op>(request.descriptor.op)),
          gradient_(wants_gradient(request, 0) ? RowGradient::yes : RowGradient::no),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners, gradient_) {
        MemoryLayout workspace(nullptr);
        workspace.take<double>(2 * rows_.blocks());
        workspace.take<float>(rows_.scratch());
        requirements_.forward_workspace = workspace.used();
        if (gradient_ == RowGradient::yes) requirements_.saved = request.descriptor.inputs[0].bytes();
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace);
        double* const totals = workspace.take<double>(2 * rows_.blocks());
        float* const scratch = workspace.take<float>(rows_.scratch());
        std::fill_n(totals, 2 * rows_.blocks(), 0.0);
        if (gradient_ == RowGradient::yes) {
            const auto row = Row<RowGradient::yes>::make(op_, arguments, rows_.classes(), totals);
            rows_.visit_with_gradient(arguments.inputs[0].as<T>(), reinterpret_cast<T*>(arguments.saved),
                                      scratch, [&](const ClassRow& one) { row(one, rows_.height()); });
        } else {
            const auto row = Row<RowGradient::no>::make(op_, arguments, rows_.classes(), totals);
            rows_.visit(arguments.inputs[0].as<T>(), scratch,
                        [&](const ClassRow& one) { row(one, rows_.height()); });
        }
        double* const output = arguments.outputs[0].as<double>();
        output[0] = output[1] = 0;
        for (std::int64_t block = 0; block < rows_.blocks(); ++block) {
            output[0] += totals[2 * block];
            output[1] += totals[2 * block + 1];
        }
        output[1] = own_denominator(op_, arguments.inputs[1], output[1]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const TensorView& target = arguments.input_gradients[0].view;
        if (target) std::memcpy(target.data, arguments.saved, target.bytes());
    }

  private:
    Op op_;
    RowGradient gradient_;
    ClassRows rows_;
};

}  // namespace terrane::cpu
