#include <optional>

#include "cpu/memory_layout.hpp"
#include "cpu/memory_plans.hpp"
#include "cpu/multiply_rows.hpp"
#include "cpu/norm_passes.hpp"
#include "cpu/parallel.hpp"
#include "cpu/plan_support.hpp"

namespace terrane::cpu {
namespace {

/// a as [outer, middle, inner] where b is [outer, 1, inner]: covers equal shapes and gates per pixel, channel
/// and sample. Empty when the broadcast dimensions of b are not neighbours.
struct Broadcast {
    std::int64_t outer = 1, middle = 1, inner = 1;
};

std::optional<Broadcast> neighbouring(const Shape& a, const Shape& b) {
    Broadcast result;
    int dimension = 0;
    const auto repeated = [&](int i) { return b[i] == 1 && a[i] > 1; };
    for (; dimension < a.rank() && !repeated(dimension); ++dimension) result.outer *= a[dimension];
    for (; dimension < a.rank() && (repeated(dimension) || a[dimension] == 1); ++dimension) {
        result.middle *= a[dimension];
    }
    for (; dimension < a.rank(); ++dimension) {
        if (repeated(dimension)) return std::nullopt;
        result.inner *= a[dimension];
    }
    if (result.middle == 1) std::swap(result.outer, result.inner);  // nothing is broadcast: one long row
    return result;
}

template <typename T, typename B>
class MultiplyPlan final : public LoopPlan {
  public:
    explicit MultiplyPlan(const device::PlanRequest& request)
        : a_(request.descriptor.inputs[0].shape),
          b_(request.descriptor.inputs[1].shape),
          layout_(neighbouring(a_, b_)) {
        if (!layout_ || !sums_columns() || !wants_gradient(request, 1)) return;
        MemoryLayout scratch(nullptr);
        Scratch{scratch, geometry()};
        requirements_.backward_workspace = scratch.used();
    }

    void forward(const device::ForwardArguments& arguments) override {
        product(arguments.inputs[0].as<T>(), arguments.inputs[1].as<B>(), arguments.outputs[0].as<T>());
    }

    void backward(const device::BackwardArguments& arguments) override {
        const T* const dy = arguments.output_gradients[0][0].as<T>();
        const device::GradientTarget& db = arguments.input_gradients[1];
        if (const TensorView& da = arguments.input_gradients[0].view) {
            product(dy, arguments.inputs[1].as<B>(), da.as<T>());
        }
        if (!db.view) return;
        const T* const a = arguments.inputs[0].as<T>();
        B* const target = db.view.as<B>();
        const bool adds = db.write == device::GradientWrite::accumulate;
        if (!layout_) {
            sum_anywhere(dy, a, target, adds);
        } else if (layout_->middle == 1) {
            parallel_range(layout_->inner, bytes(3), 1024, [&](std::int64_t begin, std::int64_t end) {
                if (adds) {
                    for (std::int64_t i = begin; i < end; ++i) {
                        store(target + i, load(target + i) + load(dy + i) * load(a + i));
                    }
                } else {
                    vectorised([&] { multiply_row(dy + begin, a + begin, target + begin, end - begin); });
                }
            });
        } else if (sums_columns()) {
            MemoryLayout workspace(arguments.workspace);
            sum_columns(dy, a, target, adds, Scratch(workspace, geometry()));
        } else {
            parallel_range(layout_->outer, bytes(2), 16, [&](std::int64_t begin, std::int64_t end) {
                vectorised([&] { sum_rows(dy, a, target, adds, begin, end, layout_->middle); });
            });
        }
    }

  private:
    /// Memory of the column sums, borrowed from the normalisation passes: sum dz * (x - 0) is what is wanted.
    struct Scratch {
        Scratch(MemoryLayout& layout, const NormGeometry& geometry)
            : sums(layout.take<double>(geometry.segments * geometry.channels)),
              products(layout.take<double>(geometry.segments * geometry.channels)),
              zeros(layout.take<float>(geometry.segments * geometry.columns)),
              blocks(layout.take<double>(geometry.scratch())) {}

        double *sums, *products;
        float* zeros;
        double* blocks;
    };

    /// Few sums over many elements each, rather than many over a short row.
    bool sums_columns() const {
        return layout_->middle > 1 && (layout_->inner > 1 || layout_->middle > 4096);
    }
    NormGeometry geometry() const { return {layout_->outer, layout_->middle, layout_->inner}; }
    std::int64_t bytes(std::int64_t streams) const {
        return streams * a_.elements() * static_cast<std::int64_t>(sizeof(T));
    }

    TERRANE_INLINE static void sum_rows(const T* dy, const T* a, B* target, bool adds, std::int64_t begin,
                                        std::int64_t end, std::int64_t length) {
        for (std::int64_t row = begin; row < end; ++row) {
            const float sum = dot_row(dy + row * length, a + row * length, length);
            store(target + row, adds ? load(target + row) + sum : sum);
        }
    }

    TERRANE_INLINE static void scale_rows(const T* a, const B* b, T* y, std::int64_t begin, std::int64_t end,
                                          std::int64_t length) {
        // [begin, end) are elements: a sample's one factor may have to be shared by several threads.
        for (std::int64_t at = begin; at < end;) {
            const std::int64_t row = at / length;
            const std::int64_t stop = (row + 1) * length < end ? (row + 1) * length : end;
            multiply_row(a + at, load(b + row), y + at, stop - at);
            at = stop;
        }
    }

    void product(const T* a, const B* b, T* y) const {
        if (!layout_) {
            product_anywhere(a, b, y);
        } else if (layout_->middle == 1) {
            parallel_range(layout_->inner, bytes(3), 1024, [&](std::int64_t begin, std::int64_t end) {
                vectorised([&] { multiply_row(a + begin, b + begin, y + begin, end - begin); });
            });
        } else if (layout_->inner == 1) {
            parallel_range(a_.elements(), bytes(2), 1024, [&](std::int64_t begin, std::int64_t end) {
                vectorised([&] { scale_rows(a, b, y, begin, end, layout_->middle); });
            });
        } else {
            parallel_range(
                layout_->outer * layout_->middle, bytes(2), 1, [&](std::int64_t begin, std::int64_t end) {
                    vectorised([&] { multiply_rows(a, b, y, begin, end, layout_->middle, layout_->inner); });
                });
        }
    }

    void sum_columns(const T* dy, const T* a, B* target, bool adds, const Scratch& scratch) const {
        const NormGeometry columns = geometry();
        std::fill_n(scratch.zeros, columns.segments * columns.columns, 0.0f);
        NormPasses<T>::gradient_sums(columns, a, {.sources = {dy, nullptr, nullptr}}, nullptr,
                                     {scratch.zeros, scratch.zeros, scratch.zeros}, scratch.blocks,
                                     scratch.sums, scratch.products);
        for (std::int64_t i = 0; i < columns.segments * columns.channels; ++i) {
            const float sum = static_cast<float>(scratch.products[i]);
            store(target + i, adds ? load(target + i) + sum : sum);
        }
    }

    /// Index of the element of b that goes with element `index` of a.
    std::int64_t partner(std::int64_t index) const {
        std::int64_t result = 0, stride = 1;
        for (int i = a_.rank() - 1; i >= 0; --i) {
            if (b_[i] > 1) result += index % a_[i] * stride;
            stride *= b_[i];
            index /= a_[i];
        }
        return result;
    }

    void product_anywhere(const T* a, const B* b, T* y) const {
        parallel_range(a_.elements(), bytes(2), 64, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) store(y + i, load(a + i) * load(b + partner(i)));
        });
    }

    void sum_anywhere(const T* dy, const T* a, B* target, bool adds) const {
        parallel_range(b_.elements(), bytes(2), 1, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t j = begin; j < end; ++j) {
                // The first element of a that goes with j, then an odometer over the broadcast dimensions.
                std::int64_t strides[Shape::max_rank], position[Shape::max_rank] = {};
                std::int64_t at = 0, rest = j, stride = 1;
                for (int i = a_.rank() - 1; i >= 0; --i) {
                    strides[i] = stride;
                    at += rest % b_[i] * stride;
                    rest /= b_[i];
                    stride *= a_[i];
                }
                double sum = 0;
                for (int i = 0; i >= 0;) {
                    sum += static_cast<double>(load(dy + at)) * static_cast<double>(load(a + at));
                    for (i = a_.rank() - 1; i >= 0; --i) {
                        if (b_[i] == a_[i]) continue;
                        at += strides[i];
                        if (++position[i] < a_[i]) break;
                        at -= strides[i] * a_[i];
                        position[i] = 0;
                    }
                }
                const float total = static_cast<float>(sum);
                store(target + j, adds ? load(target + j) + total : total);
            }
        });
    }

    Shape a_, b_;
    std::optional<Broadcast> layout_;
};

template <typename T>
using MultiplyByFloat = MultiplyPlan<T, float>;
template <typename T>
using MultiplyBySame = MultiplyPlan<T, T>;

}  // namespace

Offer make_multiply(const device::PlanRequest& request) {
    const DType factor = request.descriptor.inputs[1].dtype;
    if (factor == DType::f32) return offer_by_type<MultiplyByFloat>(request);
    if (factor == request.descriptor.inputs[0].dtype) return offer_by_type<MultiplyBySame>(request);
    return Refusal{"the factor is neither f32 nor of the first operand's type"};
}

}  // namespace terrane::cpu
