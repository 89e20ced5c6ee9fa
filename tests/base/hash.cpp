#include "base/hash.hpp"

#include <string>

#include "support/catch.hpp"

namespace {
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
}  // namespace

TEST_CASE("CRC-32C gives the check value of its definition", "[base]") {
    CHECK(terrane::crc32c(bytes_of("123456789")) == 0xE3069283u);
    CHECK(terrane::crc32c({}) == 0u);
}

TEST_CASE("CRC-32C over parts equals CRC-32C over the whole", "[base]") {
    const std::string text = "modality, tile, ground sampling distance";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const auto first = terrane::crc32c(bytes_of(text.substr(0, cut)));
        CHECK(terrane::crc32c(bytes_of(text.substr(cut)), first) == terrane::crc32c(bytes_of(text)));
    }
}

TEST_CASE("CRC-64 gives the check value of its definition and sees every single bit", "[base]") {
    CHECK(terrane::crc64(bytes_of("123456789")) == 0x995DC9BBDF1939FAu);
    std::string text(1000, 'x');
    const auto before = terrane::crc64(bytes_of(text));
    for (char& character : text) {
        character ^= 4;
        CHECK(terrane::crc64(bytes_of(text)) != before);
        character ^= 4;
    }
}

TEST_CASE("SHA-256 gives the known digest of 'abc'", "[base]") {
    CHECK(terrane::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
