// Products with a partner that may be broadcast.
#include "cuda/plans.hpp"
#include "cuda/sums.hpp"

namespace terrane::cuda {

namespace {

/// How b is laid over a: per dimension a's size, and b's stride or 0 where b is repeated.
struct Broadcast {
    int rank = 0;
    std::int64_t size[Shape::max_rank] = {};
    std::int64_t stride[Shape::max_rank] = {};

    Broadcast() = default;
    Broadcast(const Shape& a, const Shape& b) : rank(a.rank()) {
        std::int64_t step = 1;
        for (int d = rank - 1; d >= 0; --d) {
            size[d] = a[d];
            stride[d] = b[d] == 1 ? 0 : step;
            step *= b[d];
        }
    }

    /// The element of b that meets the first element of row `row` (all dimensions of a but the last).
    TERRANE_HOST_DEVICE std::int64_t row_partner(std::int64_t row) const {
        std::int64_t result = 0;
        for (int d = rank - 2; d >= 0; --d) {
            result += row % size[d] * stride[d];
            row /= size[d];
        }
        return result;
    }
    TERRANE_HOST_DEVICE std::int64_t columns() const { return size[rank - 1]; }
    TERRANE_HOST_DEVICE std::int64_t column_stride() const { return stride[rank - 1]; }
    /// Of all elements of a that meet element `group` of b, number `item` in row-major order.
    TERRANE_HOST_DEVICE std::int64_t element(std::int64_t group, std::int64_t item) const {
        std::int64_t result = 0, step = 1;
        for (int d = rank - 1; d >= 0; --d) {
            std::int64_t& counter = stride[d] != 0 ? group : item;
            result += counter % size[d] * step;
            counter /= size[d];
            step *= size[d];
        }
        return result;
    }
};

/// target = source * b; forward of x, backward of dy.
template <typename T>
struct MultiplyPass {
    Terms<T> source;
    Floats b;
    T* target;
    Broadcast broadcast;

    template <int width>
    TERRANE_HOST_DEVICE void apply(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = row * broadcast.columns() + column;
        const std::int64_t partner = broadcast.row_partner(row) + column * broadcast.column_stride();
        float values[width];
        source.template read<width>(first, values);
        for (int i = 0; i < width; ++i) values[i] *= b[partner + i * broadcast.column_stride()];
        store<width>(target, first, values);
    }
};

/// Where db goes: a parameter's gradient, or an activation's.
struct PartnerGradient {
    ParameterGradient parameter;
    FloatsOut activation;

    TERRANE_HOST_DEVICE void store(std::int64_t i, double value) const {
        if (activation) {
            activation.store(i, static_cast<float>(value));
        } else {
            parameter.store(i, value);
        }
    }
};

template <typename T>
struct PartnerSums {
    static constexpr int sums = 1;
    const T* a;
    Terms<T> dy;
    PartnerGradient target;
    Broadcast broadcast;

    TERRANE_HOST_DEVICE void add(std::int64_t group, std::int64_t item, double (&own)[1]) const {
        const std::int64_t i = broadcast.element(group, item);
        own[0] += static_cast<double>(dy[i]) * static_cast<double>(static_cast<float>(a[i]));
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t group, const double (&total)[1]) const {
        target.store(group, total[0]);
    }
};

/// The same where b has one number per channel: neighbouring threads read neighbouring channels.
template <typename T>
struct ChannelPartnerSums {
    static constexpr int sums = 1;
    const T* a;
    Terms<T> dy;
    PartnerGradient target;
    std::int64_t channels, first_row, first_target;

    template <int width>
    struct Row {
        typename Terms<T>::template Packs<width> dy;
        Pack<T, width> a;
    };
    template <int width>
    TERRANE_HOST_DEVICE Row<width> read(std::int64_t row, std::int64_t column) const {
        const std::int64_t first = (first_row + row) * channels + column;
        return {dy.template packs<width>(first), read_pack<width>(a + first)};
    }
    template <int width>
    TERRANE_HOST_DEVICE void add(std::int64_t, std::int64_t, const Row<width>& packs, const NoColumns&,
                                 double (&own)[1][width]) const {
        float gradients[width], values[width];
        dy.template sum_of<width>(packs.dy, gradients);
        widen_pack<width>(packs.a, values);
        for (int i = 0; i < width; ++i) {
            own[0][i] += static_cast<double>(gradients[i]) * static_cast<double>(values[i]);
        }
    }
    TERRANE_HOST_DEVICE void finish(std::int64_t column, const double (&total)[1]) const {
        target.store(first_target + column, total[0]);
    }
};

template <typename T>
class MultiplyPlan final : public KernelPlan<ops::Multiply> {
  public:
    MultiplyPlan(const ops::Multiply& op, const device::PlanRequest& request, Queue queue)
        : KernelPlan(op, request, queue),
          broadcast_(input_shape(0), input_shape(1)),
          gates_(gates_of(input_shape(0), input_shape(1))),
          sums_(input_shape(1).elements(), input_shape(0).elements() / input_shape(1).elements()) {
        if (gates_ > 0)
            columns_ = ColumnGeometry(input_shape(0).pixels() / gates_, input_shape(0).channels());
        if (wants(1)) requirements_.backward_workspace = gates_ > 0 ? columns_.bytes(1) : sums_.bytes(1);
    }

    void forward(const device::ForwardArguments& arguments) override {
        pass({arguments.inputs[0].as<T>()}, arguments.inputs[1], arguments.outputs[0]);
    }

    void backward(const device::BackwardArguments& arguments) override {
        const Terms<T> dy = terms_of<T>(arguments.output_gradients[0]);
        if (const TensorView& da = arguments.input_gradients[0].view; da) pass(dy, arguments.inputs[1], da);
        const device::GradientTarget& db = arguments.input_gradients[1];
        if (!db.view) return;
        // A partner of the activations' type is an activation, one of f32 may be a parameter: accumulation
        // says.
        const PartnerGradient target = db.view.dtype() == DType::f32
                                           ? PartnerGradient{parameter_gradient(db), {}}
                                           : PartnerGradient{{}, floats_out(db.view)};
        auto* partials = reinterpret_cast<double*>(arguments.workspace);
        const T* a = arguments.inputs[0].as<T>();
        if (gates_ == 0) {
            launch_sums(queue_, sums_, partials, PartnerSums<T>{a, dy, target, broadcast_});
            return;
        }
        const std::int64_t channels = input_shape(0).channels();
        for (std::int64_t gate = 0; gate < gates_; ++gate) {
            launch_column_sums(
                queue_, columns_, partials,
                ChannelPartnerSums<T>{a, dy, target, channels, gate * columns_.rows, gate * channels});
        }
    }

  private:
    void pass(const Terms<T>& source, const TensorView& b, const TensorView& target) const {
        launch_rows<T>(queue_, input_shape(0).pixels(), input_shape(0).channels(),
                       MultiplyPass<T>{source, floats(b), target.as<T>(), broadcast_});
    }

    /// How many vectors of one number per channel b consists of, each for neighbouring rows of a; 0 if it is
    /// something else, or so many that a launch for each is too much.
    static std::int64_t gates_of(const Shape& a, const Shape& b) {
        const int last = a.rank() - 1;
        if (b[last] != a[last] || a[last] == 1) return 0;
        std::int64_t gates = 1;
        bool repeats = false;
        for (int d = 0; d < last; ++d) {
            if (b[d] == a[d] && a[d] > 1 && repeats) return 0;
            repeats = repeats || (b[d] == 1 && a[d] > 1);
            gates *= b[d];
        }
        return repeats && gates <= 64 ? gates : 0;
    }

    Broadcast broadcast_;
    std::int64_t gates_;
    SumGeometry sums_;
    ColumnGeometry columns_;
};

}  // namespace

std::unique_ptr<device::OpPlan> make_kernels(const ops::Multiply& op, const device::PlanRequest& request,
                                             Queue queue) {
    return make_typed<MultiplyPlan>(op, request, queue);
}

}  // namespace terrane::cuda
