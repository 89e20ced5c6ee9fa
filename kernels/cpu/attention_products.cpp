#include "cpu/attention_products.hpp"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>

namespace terrane::cpu {

using dnnl::memory;
using onednn::Desc;
using onednn::Described;
using onednn::Primitive;

namespace {

Desc dense(std::int64_t rows, std::int64_t columns, memory::data_type type) {
    return {{rows, columns}, type, memory::dims{columns, 1}};
}
/// A dense [columns, rows] matrix read as [rows, columns].
Desc turned(std::int64_t rows, std::int64_t columns, memory::data_type type) {
    return {{rows, columns}, type, memory::dims{1, rows}};
}

void run(Primitive& primitive, const std::byte* left, const std::byte* right, std::byte* result,
         std::byte* scratchpad) {
    primitive.set(DNNL_ARG_SRC, left);
    primitive.set(DNNL_ARG_WEIGHTS, right);
    primitive.set(DNNL_ARG_DST, result);
    primitive.set(DNNL_ARG_SCRATCHPAD, scratchpad);
    primitive.run();
}

}  // namespace

OneThread::OneThread() : before_(omp_get_max_threads()) {
    omp_set_num_threads(1);
}
OneThread::~OneThread() {
    omp_set_num_threads(before_);
}

std::optional<AttentionProducts> AttentionProducts::make(std::int64_t rows, std::int64_t keys,
                                                         std::int64_t width, DType compute, Passes passes,
                                                         std::string& refusal) {
    const OneThread alone;
    const auto factor = compute == DType::bf16 ? memory::data_type::bf16 : memory::data_type::f32;
    constexpr auto sum = memory::data_type::f32;
    AttentionProducts result;
    const auto prepare = [&](std::optional<Primitive>& into, const Desc& left, const Desc& right,
                             const Desc& product, onednn::Write write) {
        const Described described = onednn::describe_product(left, right, product, 1, write);
        if (!described || described.is_reference()) {
            refusal = fmt::format("oneDNN {} on {} offers {}", onednn::version(), onednn::instruction_set(),
                                  described ? described.implementation : "nothing");
            return false;
        }
        if (result.implementation_.empty()) result.implementation_ = described.implementation;
        into.emplace(described.primitive);
        into->attach(DNNL_ARG_SRC, described.source);
        into->attach(DNNL_ARG_WEIGHTS, described.weights);
        into->attach(DNNL_ARG_DST, described.destination);
        return true;
    };
    using onednn::Write;
    const bool complete = prepare(result.across_, dense(rows, width, factor), turned(width, keys, factor),
                                  dense(rows, keys, sum), Write::overwrite) &&
                          prepare(result.gather_, dense(rows, keys, factor), dense(keys, width, factor),
                                  dense(rows, width, sum), Write::overwrite) &&
                          (passes == Passes::forward ||
                           prepare(result.scatter_, turned(keys, rows, factor), dense(rows, width, factor),
                                   dense(keys, width, sum), Write::accumulate));
    if (!complete) return std::nullopt;
    return result;
}

std::size_t AttentionProducts::scratchpad_bytes() const {
    return std::max({across_->scratchpad_bytes(), gather_->scratchpad_bytes(),
                     scatter_ ? scatter_->scratchpad_bytes() : 0});
}

void AttentionProducts::across(const std::byte* of_queries, const std::byte* of_keys, std::byte* result,
                               std::byte* scratchpad) {
    run(*across_, of_queries, of_keys, result, scratchpad);
}
void AttentionProducts::gather(const std::byte* matrix, const std::byte* of_keys, std::byte* result,
                               std::byte* scratchpad) {
    run(*gather_, matrix, of_keys, result, scratchpad);
}
void AttentionProducts::scatter(const std::byte* matrix, const std::byte* of_queries, std::byte* result,
                                std::byte* scratchpad) {
    run(*scatter_, matrix, of_queries, result, scratchpad);
}

}  // namespace terrane::cpu
