#pragma once

#include <string>

namespace terrane::cpu {

/// The version of oneDNN that is loaded: "2.6.3".
std::string dnnl_version();
/// The instruction set oneDNN generates code for on this machine: "avx512_core_amx".
std::string dnnl_instruction_set();

}  // namespace terrane::cpu
