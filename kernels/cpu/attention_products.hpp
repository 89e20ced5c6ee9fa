#pragma once

#include <optional>
#include <string>

#include "cpu/dnnl_primitives.hpp"
#include "tensor/dtype.hpp"

namespace terrane::cpu {

/// The matrix products of one block of queries (`rows`) with all `keys` of a head of `width` channels, run by
/// one thread on dense matrices. Factors have the compute type (f32 or bf16), results are f32.
class AttentionProducts {
  public:
    enum class Passes { forward, both };

    /// Nothing, with the library's offer in `refusal`, where it would only run its reference loops.
    static std::optional<AttentionProducts> make(std::int64_t rows, std::int64_t keys, std::int64_t width,
                                                 DType compute, Passes passes, std::string& refusal);

    std::size_t scratchpad_bytes() const;
    const std::string& implementation() const { return implementation_; }

    /// [rows, keys] = of_queries [rows, width] * of_keys [keys, width]^T
    void across(const std::byte* of_queries, const std::byte* of_keys, std::byte* result,
                std::byte* scratchpad);
    /// [rows, width] = matrix [rows, keys] * of_keys [keys, width]
    void gather(const std::byte* matrix, const std::byte* of_keys, std::byte* result, std::byte* scratchpad);
    /// [keys, width] += matrix [rows, keys]^T * of_queries [rows, width]
    void scatter(const std::byte* matrix, const std::byte* of_queries, std::byte* result,
                 std::byte* scratchpad);

  private:
    AttentionProducts() = default;

    std::string implementation_;
    std::optional<onednn::Primitive> across_, gather_, scatter_;
};

/// While it lives, oneDNN primitives are made for, and run by, the calling thread alone.
class OneThread {
  public:
    OneThread();
    ~OneThread();
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;

  private:
    int before_;
};

}  // namespace terrane::cpu
