#include "graph/initializer.hpp"

#include <cmath>

#include "base/philox.hpp"

namespace terrane::graph {

namespace {

double fan_in(const Shape& shape) {
    return static_cast<double>(shape.elements()) / static_cast<double>(shape[0]);
}
double fan_out(const Shape& shape) {
    return static_cast<double>(shape.elements()) / static_cast<double>(shape[shape.rank() - 1]);
}

void fill_normal(PhiloxStream& stream, double deviation, std::span<float> values) {
    for (float& value : values) value = static_cast<float>(deviation * stream.normal());
}

void fill_uniform(PhiloxStream& stream, double bound, std::span<float> values) {
    for (float& value : values) value = static_cast<float>(stream.uniform(-bound, bound));
}

struct Fill {
    PhiloxStream stream;
    const Shape& shape;
    std::span<float> values;

    void operator()(const Constant& kind) {
        for (float& value : values) value = static_cast<float>(kind.value);
    }
    void operator()(const Normal& kind) { fill_normal(stream, kind.deviation, values); }
    void operator()(const KaimingFanOut&) { fill_normal(stream, std::sqrt(2.0 / fan_out(shape)), values); }
    void operator()(const KaimingFanIn&) { fill_normal(stream, std::sqrt(2.0 / fan_in(shape)), values); }
    void operator()(const UniformFanIn&) { fill_uniform(stream, std::sqrt(1.0 / fan_in(shape)), values); }
    void operator()(const Uniform& kind) { fill_uniform(stream, kind.bound, values); }
};

}  // namespace

void initialise(const Initializer& initializer, std::uint64_t seed, std::string_view name, const Shape& shape,
                std::span<float> values) {
    std::visit(Fill{PhiloxStream(seed, stream_of(name)), shape, values}, initializer);
}

}  // namespace terrane::graph
