#include "base/hash.hpp"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>
#include <openssl/evp.h>

#include <fstream>
#include <vector>

#include "base/error.hpp"

namespace terrane {

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t previous) {
    // ISA-L's crc32_iscsi is the raw Castagnoli register without the customary inversions, takes a non-const
    // pointer it does not write to, and counts in int.
    std::uint32_t crc = ~previous;
    auto* data = const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(bytes.data()));
    std::size_t left = bytes.size();
    constexpr std::size_t largest = std::size_t{1} << 30;
    while (left > 0) {
        const std::size_t part = left < largest ? left : largest;
        crc = crc32_iscsi(data, static_cast<int>(part), crc);
        data += part;
        left -= part;
    }
    return ~crc;
}

std::uint64_t crc64(std::span<const std::byte> bytes) {
    return crc64_ecma_refl(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

struct Sha256::State {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    State() {
        TERRANE_ASSERT(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1,
                       "OpenSSL offers no SHA-256");
    }
    ~State() { EVP_MD_CTX_free(context); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
    TERRANE_ASSERT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, "SHA-256 update failed");
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }

std::string Sha256::finish() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    TERRANE_ASSERT(EVP_DigestFinal_ex(state_->context, digest, &length) == 1, "SHA-256 final failed");
    std::string text;
    for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
}

std::string sha256(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return hash.finish();
}

std::string sha256_of_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Error(ExitCode::input_missing, 902, fmt::format("{} can't be opened.", path.string()));
    Sha256 hash;
    std::vector<char> buffer(1 << 20);
    while (file) {
        file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        hash.update(std::string_view(buffer.data(), static_cast<std::size_t>(file.gcount())));
    }
    if (file.bad()) throw Error(ExitCode::io_error, 902, fmt::format("reading {} failed.", path.string()));
    return hash.finish();
}

}  // namespace terrane
