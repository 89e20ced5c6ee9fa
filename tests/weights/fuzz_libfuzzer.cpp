// libFuzzer's entry point; see scripts/fuzz.sh.
#include "fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    terrane::test::fuzz_weights({data, size});
    return 0;
}
