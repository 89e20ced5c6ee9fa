#pragma once

#include <algorithm>

#include "cpu/kept_gradient_plan.hpp"
#include "cpu/memory_layout.hpp"

namespace terrane::cpu {

/// A loss that is a sum over pixels, each from its own logits. With Denominator::samples it exchanges {weights,
/// samples} and multiplies by what they give. `Row<slopes>` computes one row of one image:
///   static Row make(const Op&, const device::ForwardArguments&, std::int64_t classes, double* totals);
///   void operator()(const ClassRow&, std::int64_t height) const;   // adds to totals, per block {losses,
///   weights}
template <typename Op, template <RowGradient> typename Row, typename T>
class RowLossPlan final : public KeptGradientPlan {
  public:
    explicit RowLossPlan(const device::PlanRequest& request)
        : KeptGradientPlan(request),
          op_(std::get<Op>(request.descriptor.op)),
          rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], op_.corners, gradient_) {
        MemoryLayout workspace(nullptr);
        workspace.take<double>(2 * rows_.blocks());
        workspace.take<float>(rows_.scratch());
        requirements_.forward_workspace = workspace.used();
        if (shares()) requirements_.forward_exchange = 2;
    }

    void forward(const device::ForwardArguments& arguments) override {
        if (arguments.phase == device::Phase::after_exchange) {
            take_share<T>(arguments, rows_.logits());
            return;
        }
        MemoryLayout workspace(arguments.workspace);
        double* const totals = workspace.take<double>(2 * rows_.blocks());
        float* const scratch = workspace.take<float>(rows_.scratch());
        std::fill_n(totals, 2 * rows_.blocks(), 0.0);
        if (gradient_ == RowGradient::yes) {
            const auto row = Row<RowGradient::yes>::make(op_, arguments, rows_.classes(), totals);
            rows_.visit_with_gradient(arguments.inputs[0].as<T>(), reinterpret_cast<T*>(arguments.saved),
                                      scratch,
                                      [&](const ClassRow& one) { row(one, rows_.height()); });
        } else {
            const auto row = Row<RowGradient::no>::make(op_, arguments, rows_.classes(), totals);
            rows_.visit(arguments.inputs[0].as<T>(), scratch,
                        [&](const ClassRow& one) { row(one, rows_.height()); });
        }
        double* const output = arguments.outputs[0].as<double>();
        add_blocks(totals, rows_.blocks(), 2, output);
        if (shares()) arguments.exchange[0] = output[1];
        output[1] = own_denominator(op_, arguments.inputs[1], output[1]);
        if (shares()) arguments.exchange[1] = output[1];
    }

  private:
    bool shares() const {
        return op_.denominator == ops::Denominator::samples;
    }

    Op op_;
    ClassRows rows_;
};

}  // namespace terrane::cpu
