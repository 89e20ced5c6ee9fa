#include "cpu/isa.hpp"

namespace terrane::cpu {
namespace {

Isa detect() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                        __builtin_cpu_supports("avx512vl");
    if (avx512) return Isa::avx512;
    if (avx2) return Isa::avx2;
#endif
    return Isa::baseline;
}

const Isa detected = detect();
Isa current = detected;

}  // namespace

Isa isa() {
    return current;
}

const char* name_of(Isa isa) {
    switch (isa) {
        case Isa::baseline:
            return "x86-64";
        case Isa::avx2:
            return "avx2";
        case Isa::avx512:
            return "avx512";
    }
    return "";
}

void limit_isa(Isa limit) {
    current = limit < detected ? limit : detected;
}

}  // namespace terrane::cpu
