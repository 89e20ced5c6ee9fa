#pragma once

#include <string>
#include <vector>

#include "device/op_plan.hpp"

/// The one table of op cases that every kernel test walks: gradients by differences, and each backend against
/// the reference.
namespace terrane::test {

/// What kind of input this is; decides its element type and whether it is differentiable or written.
enum class Role {
    activation,  ///< of the compute type, differentiable
    parameter,   ///< f32 (f64 in double programs), differentiable
    state,       ///< likewise, not differentiable, may be written
    labels,      ///< u8
    confusion,   ///< i64, written
    constant,    ///< f32 (f64 in double programs), per sample, not differentiable, not written
    keys,        ///< i64, one per sample
};

/// What its elements are like. Integers where exactness is demanded, reals otherwise.
enum class Fill {
    standard,                 ///< around 0; integers -2 .. 2
    scale,                    ///< around 1; integers 1 or 2
    positive,                 ///< 0.5 .. 2
    presence,                 ///< 0 or 1, the first always 1
    class_weights,            ///< 0.5 .. 2
    class_weights_with_zero,  ///< likewise, class 1 has 0
    labels,                   ///< classes of input 0, some ignored, some beyond the classes
    labels_all_ignored,
    distances,  ///< bytes, a fifth of them 0
    zero,
    half_keys,      ///< keys: large, some negative
    one_hot,        ///< per pixel a class has 1, some pixels none
    quarters,       ///< per pixel four quarters fall on classes, some pixels have none
    far_from_zero,  ///< mean 100, spread 1: cancellation in variances
};

struct CaseInput {
    Role role = Role::activation;
    Shape shape;
    Fill fill = Fill::standard;
};

/// Whether integer inputs must give equal bits in every backend.
enum class Exact { no, yes };
/// Whether a mostly-zero result is what the case is about.
enum class Zeros { mistrusted, expected };

/// Frozen: its plan is made for inference although gradients are wanted, as graph/freeze.hpp does with norms.
enum class Frozen { no, yes };

struct OpCase {
    std::string name;
    ops::Op op;
    std::vector<CaseInput> inputs;
    Exact exact = Exact::no;
    Zeros zeros = Zeros::mistrusted;
    double conditioning = 1;  ///< how much the maths itself magnifies rounding errors
    Frozen frozen = Frozen::no;

    bool has_backward() const;
    bool is_loss() const;
    std::int64_t classes() const { return inputs[0].shape.channels(); }
};

/// All cases; with TERRANE_CASE set only the one of that name, or those that begin so ("batch norm*").
std::vector<OpCase> selected_cases();

// The parts of the table, by family.
std::vector<OpCase> product_cases();
std::vector<OpCase> norm_cases();
std::vector<OpCase> map_cases();
std::vector<OpCase> pointwise_cases();
std::vector<OpCase> class_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> diffusion_cases();

// Shorthand for the table.
inline CaseInput activation(Shape shape, Fill fill = Fill::standard) {
    return {Role::activation, shape, fill};
}
inline CaseInput parameter(Shape shape, Fill fill = Fill::standard) {
    return {Role::parameter, shape, fill};
}
inline CaseInput state(Shape shape, Fill fill = Fill::standard) {
    return {Role::state, shape, fill};
}
inline CaseInput labels(Shape shape, Fill fill = Fill::labels) {
    return {Role::labels, shape, fill};
}

}  // namespace terrane::test
