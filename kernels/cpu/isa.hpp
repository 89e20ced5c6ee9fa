#pragma once

/// One binary for every x86-64: a kernel's loops are written once and compiled for three instruction sets;
/// the set is chosen when the program runs. Sums are written with a fixed order (lanes of a fixed count,
/// products and sums never contracted), so all three give equal bits.
///
/// A kernel is a TERRANE_INLINE function template over plain pointers, called as
///   vectorised([&] { add_rows(a, b, y, count); });
/// It may call TERRANE_INLINE functions only: anything else stays an ordinary call into baseline code.

#define TERRANE_INLINE [[gnu::always_inline]] inline
/// The same for a lambda, after its parameters.
#define TERRANE_INLINE_LAMBDA __attribute__((always_inline))

namespace terrane::cpu {

enum class Isa { baseline, avx2, avx512 };

/// The best instruction set of this machine, or what limit_isa() allowed.
Isa isa();
/// "x86-64", "avx2", "avx512"
const char* name_of(Isa isa);
/// Uses at most this set from now on; for tests and comparisons. Not while kernels run.
void limit_isa(Isa limit);

namespace detail {

template <typename Body>
[[gnu::flatten]] void run_baseline(const Body& body) {
    body();
}
#if defined(__x86_64__)
template <typename Body>
[[gnu::target("arch=x86-64-v3"), gnu::flatten]] void run_avx2(const Body& body) {
    body();
}
template <typename Body>
[[gnu::target("arch=x86-64-v4"), gnu::flatten]] void run_avx512(const Body& body) {
    body();
}
#endif

}  // namespace detail

/// Runs `body`, everything inlined into it compiled for the instruction set of this machine.
template <typename Body>
void vectorised(const Body& body) {
#if defined(__x86_64__)
    switch (isa()) {
        case Isa::avx512:
            return detail::run_avx512(body);
        case Isa::avx2:
            return detail::run_avx2(body);
        case Isa::baseline:
            break;
    }
#endif
    detail::run_baseline(body);
}

}  // namespace terrane::cpu
