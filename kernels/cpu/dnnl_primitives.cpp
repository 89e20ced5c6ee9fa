#include "cpu/dnnl_primitives.hpp"

#include <fmt/format.h>
#include <omp.h>

#include "base/error.hpp"

namespace terrane::cpu::onednn {

namespace {

const dnnl::engine& engine() {
    static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
    return cpu;
}

/// A CPU stream holds no queue: work is done when a call returns, whichever thread made it.
const dnnl::stream& stream() {
    static const dnnl::stream cpu(engine());
    return cpu;
}

dnnl::memory::dims dimensions_of(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
    return desc.get_dims();
#else
    return desc.dims();
#endif
}

dnnl::memory::data_type data_type_of(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
    return desc.get_data_type();
#else
    return desc.data_type();
#endif
}

dnnl::primitive_attr attributes() {
    dnnl::primitive_attr result;
    result.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return result;
}

/// In version 2 a primitive is described in two steps, in version 3 in one; both return an empty descriptor
/// where the library has no implementation, and throw `invalid_arguments` or `unimplemented` for some.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc describe_as(const dnnl::primitive_attr& attr,
                                               const Arguments&... arguments) {
    try {
#if DNNL_VERSION_MAJOR >= 3
        return typename Primitive::primitive_desc(engine(), arguments..., attr, true);
#else
        return
            typename Primitive::primitive_desc(typename Primitive::desc(arguments...), attr, engine(), true);
#endif
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_unimplemented || error.status == dnnl_invalid_arguments) return {};
        throw;
    }
}

/// Backward passes are described with the forward pass they belong to.
template <typename Primitive, typename Forward, typename... Arguments>
typename Primitive::primitive_desc describe_backward(const dnnl::primitive_attr& attr, const Forward& forward,
                                                     const Arguments&... arguments) {
    if (!forward) return {};
    try {
#if DNNL_VERSION_MAJOR >= 3
        return typename Primitive::primitive_desc(engine(), arguments..., forward, attr, true);
#else
        return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), attr, engine(),
                                                  forward, true);
#endif
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_unimplemented || error.status == dnnl_invalid_arguments) return {};
        throw;
    }
}

dnnl::primitive_desc_base describe_inner_product(const LayerProblem& p) {
    const dnnl::primitive_attr attr = attributes();
    const auto forward = [&](dnnl::prop_kind kind) {
        return describe_as<dnnl::inner_product_forward>(attr, kind, p.source, p.forward_weights(), p.bias,
                                                        p.destination);
    };
    switch (p.pass) {
        case Pass::inference:
            return forward(dnnl::prop_kind::forward_inference);
        case Pass::forward:
            return forward(dnnl::prop_kind::forward_training);
        case Pass::backward_data:
            return describe_backward<dnnl::inner_product_backward_data>(
                attr, forward(dnnl::prop_kind::forward_training), p.source, p.weights, p.destination);
        case Pass::backward_weights:
            return describe_backward<dnnl::inner_product_backward_weights>(
                attr, forward(dnnl::prop_kind::forward_training), p.source, p.weights, p.bias, p.destination);
    }
    return {};
}

/// The first or the second implementation of the library's list; empty if there is none.
template <typename Description>
Description chosen(Description description, bool take_second) {
    if (take_second && description && !description.next_impl()) return {};
    return description;
}

template <typename Forward, typename BackwardData, typename BackwardWeights>
dnnl::primitive_desc_base describe_spatial(const LayerProblem& p, dnnl::algorithm algorithm) {
    const dnnl::primitive_attr attr = attributes();
    const auto forward = [&](dnnl::prop_kind kind) {
        return describe_as<Forward>(attr, kind, algorithm, p.source, p.forward_weights(), p.bias,
                                    p.destination, p.strides, p.dilation, p.padding_begin, p.padding_end);
    };
    switch (p.pass) {
        case Pass::inference:
            return forward(dnnl::prop_kind::forward_inference);
        case Pass::forward:
            return forward(dnnl::prop_kind::forward_training);
        case Pass::backward_data:
            return describe_backward<BackwardData>(attr, forward(dnnl::prop_kind::forward_training),
                                                   algorithm, p.source, p.weights, p.destination, p.strides,
                                                   p.dilation, p.padding_begin, p.padding_end);
        case Pass::backward_weights:
            return describe_backward<BackwardWeights>(attr, forward(dnnl::prop_kind::forward_training),
                                                      algorithm, p.source, p.weights, p.bias, p.destination,
                                                      p.strides, p.dilation, p.padding_begin, p.padding_end);
    }
    return {};
}

std::string implementation_of(const dnnl::primitive_desc_base& description) {
    return description ? std::string(description.impl_info_str()) : std::string();
}

}  // namespace

bool is_there() {
    return ::dnnl_version()->major > 0;
}

std::string version() {
    const dnnl_version_t* loaded = ::dnnl_version();
    return fmt::format("{}.{}.{}", loaded->major, loaded->minor, loaded->patch);
}

std::string instruction_set() {
    const auto isa = static_cast<int>(dnnl::get_effective_cpu_isa());
    switch (isa) {
        case dnnl_cpu_isa_sse41:
            return "sse41";
        case dnnl_cpu_isa_avx:
            return "avx";
        case dnnl_cpu_isa_avx2:
            return "avx2";
        case dnnl_cpu_isa_avx2_vnni:
            return "avx2_vnni";
        case dnnl_cpu_isa_avx512_core:
            return "avx512_core";
        case dnnl_cpu_isa_avx512_core_vnni:
            return "avx512_core_vnni";
        case dnnl_cpu_isa_avx512_core_bf16:
            return "avx512_core_bf16";
        case dnnl_cpu_isa_avx512_core_amx:
            return "avx512_core_amx";
        default:
            break;  // an open set: newer versions of the library add members
    }
    return fmt::format("instruction set {:#x}", isa);
}

Desc LayerProblem::forward_weights() const {
    // The gradient of bf16 weights is f32, but a forward pass with f32 weights and bf16 activations does not
    // exist: the hint has the activations' type.
    return Desc(dimensions_of(weights), data_type_of(source), dnnl::memory::format_tag::any);
}

Described describe(const LayerProblem& problem) {
    dnnl::primitive_desc_base found;
    switch (problem.kind) {
        case LayerKind::convolution:
            found = describe_spatial<dnnl::convolution_forward, dnnl::convolution_backward_data,
                                     dnnl::convolution_backward_weights>(problem,
                                                                         dnnl::algorithm::convolution_direct);
            break;
        case LayerKind::transposed_convolution:
            found = describe_spatial<dnnl::deconvolution_forward, dnnl::deconvolution_backward_data,
                                     dnnl::deconvolution_backward_weights>(
                problem, dnnl::algorithm::deconvolution_direct);
            break;
        case LayerKind::inner_product:
            found = describe_inner_product(problem);
            break;
    }
    using dnnl::query;
    Described result{found, implementation_of(found), {}, {}, {}, {}};
    if (!found) return result;
    const bool data = problem.pass == Pass::backward_data;
    const bool weights = problem.pass == Pass::backward_weights;
    result.source = found.query_md(data ? query::diff_src_md : query::src_md);
    result.destination = found.query_md(data || weights ? query::diff_dst_md : query::dst_md);
    result.weights = found.query_md(weights ? query::diff_weights_md : query::weights_md);
    if (!data) result.bias = found.query_md(weights ? query::diff_weights_md : query::weights_md, 1);
    return result;
}

Described describe_product(const Desc& source, const Desc& weights, const Desc& destination, double scale,
                           Write write) {
    dnnl::primitive_attr attr = attributes();
    dnnl::post_ops after;
    if (scale != 1) {
        after.append_eltwise(
#if DNNL_VERSION_MAJOR < 3
            1.0f,
#endif
            dnnl::algorithm::eltwise_linear, static_cast<float>(scale), 0.0f);
    }
    if (write == Write::accumulate) after.append_sum(1.0f);
    attr.set_post_ops(after);
    const dnnl::primitive_desc_base found = describe_as<dnnl::matmul>(attr, source, weights, destination);
    return {found, implementation_of(found), source, weights, {}, destination};
}

bool same_layout(const Desc& a, const Desc& b) {
    return a == b;
}

Primitive::Primitive(const dnnl::primitive_desc_base& description) : primitive_(description.get()) {
    finish(description);
}

Primitive::Primitive(const Desc& from, const Desc& to, Write write) {
    dnnl::primitive_attr attr;  // the few reorders that need a scratchpad keep their own
    if (write == Write::accumulate) {
        dnnl::post_ops after;
        after.append_sum(1.0f);
        attr.set_post_ops(after);
    }
    const dnnl::reorder::primitive_desc description(engine(), from, engine(), to, attr);
    primitive_ = dnnl::primitive(description.get());
    finish(description);
    attach(DNNL_ARG_FROM, from);
    attach(DNNL_ARG_TO, to);
}

void Primitive::finish(const dnnl::primitive_desc_base& description) {
    threads_ = omp_get_max_threads();
    const Desc scratchpad = description.query_md(dnnl::query::scratchpad_md);
    scratchpad_bytes_ = scratchpad.get_size();
    if (scratchpad_bytes_ > 0) attach(DNNL_ARG_SCRATCHPAD, scratchpad);
}

void Primitive::attach(int argument, const Desc& desc) {
    arguments_.push_back({dnnl::memory(desc, engine(), DNNL_MEMORY_NONE), nullptr});
    execution_arguments_.push_back({argument, arguments_.back().memory.get()});
}

void Primitive::set(int argument, const std::byte* data) {
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
        if (execution_arguments_[i].arg != argument) continue;
        if (arguments_[i].data == data) return;
        arguments_[i].data = data;
        // The library's interface has one kind of address for operands it reads and for those it writes.
        arguments_[i].memory.set_data_handle(const_cast<std::byte*>(data));
        return;
    }
    TERRANE_ASSERT(argument == DNNL_ARG_SCRATCHPAD, "oneDNN argument {} was not attached", argument);
}

void Primitive::run() {
    // The work was cut for this many threads; another calling thread may have another default.
    if (omp_get_max_threads() != threads_) omp_set_num_threads(threads_);
    const dnnl_status_t status =
        dnnl_primitive_execute(primitive_.get(), stream().get(),
                               static_cast<int>(execution_arguments_.size()), execution_arguments_.data());
    if (status != dnnl_success) {
        throw Error(ExitCode::internal, 721,
                    fmt::format("oneDNN {} failed with status {} while running a primitive.", version(),
                                static_cast<int>(status)),
                    "Report this with the output of 'terrane inspect'.");
    }
}

}  // namespace terrane::cpu::onednn
