#include "cpu/dnnl_engine.hpp"

#include <fmt/format.h>
#include <oneapi/dnnl/dnnl.hpp>

namespace terrane::cpu {

std::string dnnl_version() {
    const dnnl_version_t* version = ::dnnl_version();
    return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

std::string dnnl_instruction_set() {
    switch (static_cast<int>(dnnl::get_effective_cpu_isa())) {
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
            break;  // an open set: newer versions add members
    }
    return fmt::format("isa {:#x}", static_cast<int>(dnnl::get_effective_cpu_isa()));
}

}  // namespace terrane::cpu
