#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

/// All that is asked of oneDNN, behind functions that compile with version 2 (operation descriptors) and 3
/// (none): the two differ in dnnl_primitives.cpp only.
namespace terrane::cpu::onednn {

using Desc = dnnl::memory::desc;

/// Whether what is loaded is oneDNN, and not what scripts/stand_in.sh puts in its place (version 0.0.0).
bool is_there();
/// The version that is loaded: "2.6.3".
std::string version();
/// The instruction set code is generated for on this machine: "avx512_core_amx".
std::string instruction_set();

enum class LayerKind { convolution, transposed_convolution, inner_product };
enum class Pass { inference, forward, backward_data, backward_weights };

/// Whether a result replaces what is there or is added to it.
enum class Write { overwrite, accumulate };

/// One pass of a layer with weights. Descriptors are those of the pass's own operands (gradients in the
/// backward passes); a format of `any` leaves the choice to the library; an empty `bias` means none. Dilation
/// counts from 0 and padding_end may be negative, as the library wants it.
struct LayerProblem {
    LayerKind kind = LayerKind::convolution;
    Pass pass = Pass::forward;
    Desc source, weights, bias, destination;
    dnnl::memory::dims strides, dilation, padding_begin, padding_end;
    /// Forward passes: the second implementation of the library's list instead of the first.
    bool take_second = false;

    /// The weights of the forward pass this pass belongs to.
    Desc forward_weights() const;
};

/// A primitive the library offers, with the operands it wants.
struct Described {
    dnnl::primitive_desc_base primitive;
    std::string implementation;
    Desc source, weights, bias, destination;  ///< of the pass: gradients where the pass makes or reads them

    explicit operator bool() const { return static_cast<bool>(primitive); }
    /// Whether the library would fall back to its reference loops, up to a thousand times slower.
    bool is_reference() const { return implementation.find("ref") != std::string::npos; }
};

/// Empty if the library has nothing for the problem.
Described describe(const LayerProblem& problem);
/// destination (+)= scale * source * weights, all of rank 2 or all of rank 3.
Described describe_product(const Desc& source, const Desc& weights, const Desc& destination, double scale,
                           Write write = Write::overwrite);

bool same_layout(const Desc& a, const Desc& b);

/// A primitive with its memory objects, made once; a run sets addresses and executes.
class Primitive {
  public:
    explicit Primitive(const dnnl::primitive_desc_base& description);
    /// Copies between layouts and types; the arguments are DNNL_ARG_FROM and DNNL_ARG_TO.
    Primitive(const Desc& from, const Desc& to, Write write = Write::overwrite);

    /// Declares an argument. All of them before the first run.
    void attach(int argument, const Desc& desc);
    void set(int argument, const std::byte* data);
    std::size_t scratchpad_bytes() const { return scratchpad_bytes_; }
    /// Every argument has been set; DNNL_ARG_SCRATCHPAD too if scratchpad_bytes() > 0. With as many threads
    /// as OpenMP granted when the primitive was made.
    void run();

  private:
    struct Argument {
        dnnl::memory memory;
        const std::byte* data = nullptr;
    };

    void finish(const dnnl::primitive_desc_base& description);

    dnnl::primitive primitive_;
    std::vector<Argument> arguments_;
    std::vector<dnnl_exec_arg_t> execution_arguments_;
    std::size_t scratchpad_bytes_ = 0;
    int threads_ = 1;
};

}  // namespace terrane::cpu::onednn
