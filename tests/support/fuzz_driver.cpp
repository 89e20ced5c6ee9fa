// Fuzzing without libFuzzer: mutates the seeds for some seconds.
//   fuzz_driver_NAME SECONDS [SEED]    prints executions and how many inputs were read
//   fuzz_driver_NAME --seeds FOLDER    writes the seeds for libFuzzer
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/file.hpp"
#include "base/philox.hpp"
#include "support/fuzz_target.hpp"

namespace {

using terrane::PhiloxStream;

void mutate(std::string& input, const std::vector<std::string>& seeds, PhiloxStream& random) {
    const auto place = [&](const std::string& text) {
        return static_cast<std::size_t>(random.below(static_cast<std::uint32_t>(text.size())));
    };
    const std::size_t at = place(input);
    switch (random.below(7)) {
        case 0:
            input[at] = static_cast<char>(random.below(256));
            return;
        case 1:
            input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
            return;
        case 2:
            input.erase(at, 1 + random.below(8));
            return;
        case 3:
            input.insert(at, input.substr(place(input), random.below(32)));
            return;
        case 4: {  // numbers that limits are made of
            constexpr std::uint64_t numbers[] = {0,          1,          0x7f,  0xff,      0x7fff,
                                                 0x7fffffff, 0xffffffff, ~0ull, 1ull << 62};
            std::uint64_t number = numbers[random.below(9)];
            for (std::size_t i = at; i < std::min(input.size(), at + 8); ++i, number >>= 8) {
                input[i] = static_cast<char>(number);
            }
            return;
        }
        case 5: {  // splice
            const std::string& other = seeds[random.below(static_cast<std::uint32_t>(seeds.size()))];
            input = input.substr(0, at) + other.substr(place(other));
            return;
        }
        default: {
            constexpr std::string_view opcodes =
                "(.0129NTXabcdefghijlqrstu])}\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94QRGJK";
            input[at] = opcodes[random.below(static_cast<std::uint32_t>(opcodes.size()))];
            return;
        }
    }
}

int fuzz(double seconds, std::uint64_t seed) {
    const std::vector<std::string> seeds = terrane::test::fuzz_seeds();
    PhiloxStream random(seed, 1);
    const auto run = [](const std::string& input) {
        return terrane::test::fuzz_input({reinterpret_cast<const std::uint8_t*>(input.data()),
                                          input.size()}) == terrane::test::FuzzVerdict::read;
    };
    for (const std::string& input : seeds) {
        if (run(input)) continue;
        std::printf("a seed was refused\n");
        return 1;
    }
    long executions = 0;
    long read = 0;
    const auto began = std::chrono::steady_clock::now();
    std::string input;
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() < seconds) {
        for (int i = 0; i < 20; ++i, ++executions) {
            input = seeds[random.below(static_cast<std::uint32_t>(seeds.size()))];
            for (std::uint32_t edits = 1 + random.below(6); edits > 0 && !input.empty(); --edits) {
                mutate(input, seeds, random);
            }
            if (run(input)) ++read;
        }
    }
    std::printf("%ld mutated files in %.0f s, %ld read, the others refused with an error\n", executions,
                seconds, read);
    // A fuzzer whose every input is refused, or accepted, tests nothing.
    return executions >= 100 && read > executions / 1000 && read < executions * 9 / 10 ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
    if (count == 3 && std::string(arguments[1]) == "--seeds") {
        int number = 0;
        for (const std::string& seed : terrane::test::fuzz_seeds()) {
            terrane::write_file_atomically(
                std::filesystem::path(arguments[2]) / ("seed" + std::to_string(number++)),
                std::string_view(seed));
        }
        return 0;
    }
    if (count < 2) return 2;
    return fuzz(std::atof(arguments[1]), count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 20261121);
}
