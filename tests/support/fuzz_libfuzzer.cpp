// libFuzzer's entry point; see scripts/fuzz.sh.
#include "support/fuzz_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    terrane::test::fuzz_input({data, size});
    return 0;
}
