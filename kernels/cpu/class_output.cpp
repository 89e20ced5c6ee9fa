#include <algorithm>

#include "cpu/class_rows.hpp"
#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/plan_support.hpp"
#include "formulas/class_loss.hpp"

/// What inference ends with: Classify and Softmax.
namespace terrane::cpu {
namespace {

struct ClassifyRow {
    const std::uint8_t* labels;
    std::uint8_t* predictions;
    std::int64_t* confusions;  ///< per block [classes, classes]

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        const std::int64_t at = (row.sample * height + row.y) * row.width;
        float* const best = row.scratch(0);
        auto* const winner = reinterpret_cast<std::int32_t*>(row.scratch(1));
#pragma omp simd
        for (std::int64_t x = 0; x < row.width; ++x) {
            best[x] = row.planes[x];
            winner[x] = 0;
        }
        for (std::int64_t c = 1; c < row.classes; ++c) {
            const float* const plane = row.plane(c);
            const auto here = static_cast<std::int32_t>(c);
#pragma omp simd
            for (std::int64_t x = 0; x < row.width; ++x) {
                const bool larger = plane[x] > best[x];
                best[x] = larger ? plane[x] : best[x];
                winner[x] = larger ? here : winner[x];
            }
        }
        std::int64_t* const confusion = confusions + row.block * row.classes * row.classes;
        for (std::int64_t x = 0; x < row.width; ++x) {
            const int label = labels[at + x];
            predictions[at + x] = static_cast<std::uint8_t>(winner[x]);
            if (formulas::is_valid_label(label, row.classes)) ++confusion[label * row.classes + winner[x]];
        }
    }
};

/// Confusion matrices per block are added up afterwards; many classes make them large, so there are fewer.
std::int64_t most_blocks(std::int64_t classes) {
    return classes <= 32 ? 64 : 8;
}

template <typename T>
class ClassifyPlan final : public LoopPlan {
  public:
    explicit ClassifyPlan(const device::PlanRequest& request)
        : rows_(request.descriptor.inputs[0].shape, request.descriptor.inputs[1].shape[1],
                request.descriptor.inputs[1].shape[2], std::get<ops::Classify>(request.descriptor.op).corners,
                RowGradient::no, most_blocks(request.descriptor.inputs[0].shape.channels())) {
        MemoryLayout workspace(nullptr);
        workspace.take<std::int64_t>(rows_.blocks() * matrix());
        workspace.take<float>(rows_.scratch());
        requirements_.forward_workspace = workspace.used();
    }

    void forward(const device::ForwardArguments& arguments) override {
        MemoryLayout workspace(arguments.workspace);
        std::int64_t* const confusions = workspace.take<std::int64_t>(rows_.blocks() * matrix());
        float* const scratch = workspace.take<float>(rows_.scratch());
        std::fill_n(confusions, rows_.blocks() * matrix(), std::int64_t{0});
        const ClassifyRow row{arguments.inputs[1].as<std::uint8_t>(), arguments.outputs[0].as<std::uint8_t>(),
                              confusions};
        rows_.visit(arguments.inputs[0].as<T>(), scratch,
                    [&](const ClassRow& one) { row(one, rows_.height()); });
        std::int64_t* const total = arguments.inputs[2].as<std::int64_t>();
        for (std::int64_t block = 0; block < rows_.blocks(); ++block) {
            for (std::int64_t i = 0; i < matrix(); ++i) total[i] += confusions[block * matrix() + i];
        }
    }

    void backward(const device::BackwardArguments&) override {
        TERRANE_ASSERT(false, "classify has no gradient");
    }

  private:
    std::int64_t matrix() const { return rows_.classes() * rows_.classes(); }

    ClassRows rows_;
};

struct SoftmaxRow {
    float* probabilities;

    TERRANE_INLINE void operator()(const ClassRow& row, std::int64_t height) const {
        soften(row);
        float* const to = probabilities + (row.sample * height + row.y) * row.width * row.classes;
        for (std::int64_t x = 0; x < row.width; ++x) {
            for (std::int64_t c = 0; c < row.classes; ++c) to[x * row.classes + c] = row.plane(c)[x];
        }
    }
};

template <typename T>
class SoftmaxPlan final : public LoopPlan {
  public:
    explicit SoftmaxPlan(const device::PlanRequest& request)
        : rows_(request.descriptor.inputs[0].shape, request.descriptor.outputs[0].shape.height(),
                request.descriptor.outputs[0].shape.width(),
                std::get<ops::Softmax>(request.descriptor.op).corners, RowGradient::no) {
        requirements_.forward_workspace = static_cast<std::size_t>(rows_.scratch()) * sizeof(float);
    }

    void forward(const device::ForwardArguments& arguments) override {
        const SoftmaxRow row{arguments.outputs[0].as<float>()};
        rows_.visit(arguments.inputs[0].as<T>(), reinterpret_cast<float*>(arguments.workspace),
                    [&](const ClassRow& one) { row(one, rows_.height()); });
    }

    void backward(const device::BackwardArguments&) override {
        TERRANE_ASSERT(false, "softmax has no gradient");
    }

  private:
    ClassRows rows_;
};

}  // namespace

Offer make_classify(const device::PlanRequest& request) {
    return offer_by_type<ClassifyPlan>(request);
}

Offer make_softmax(const device::PlanRequest& request) {
    return offer_by_type<SoftmaxPlan>(request);
}

}  // namespace terrane::cpu
