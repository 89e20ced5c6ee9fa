#include "tensor/dtype.hpp"

#include <array>
#include <utility>

#include "base/error.hpp"

namespace terrane {

namespace {

struct Entry {
    DType dtype;
    std::string_view name;
    std::size_t size;
};
constexpr std::array<Entry, 11> entries{{{DType::f32, "f32", 4},
                                         {DType::bf16, "bf16", 2},
                                         {DType::f16, "f16", 2},
                                         {DType::f64, "f64", 8},
                                         {DType::u8, "u8", 1},
                                         {DType::i8, "i8", 1},
                                         {DType::u16, "u16", 2},
                                         {DType::i16, "i16", 2},
                                         {DType::u32, "u32", 4},
                                         {DType::i32, "i32", 4},
                                         {DType::i64, "i64", 8}}};

const Entry& entry_of(DType dtype) {
    const Entry& entry = entries.at(static_cast<std::size_t>(dtype));
    TERRANE_ASSERT(entry.dtype == dtype, "the DType table is out of order");
    return entry;
}

}  // namespace

std::size_t size_of(DType dtype) { return entry_of(dtype).size; }
std::string_view name_of(DType dtype) { return entry_of(dtype).name; }

DType dtype_from_name(std::string_view name) {
    for (const Entry& entry : entries) {
        if (entry.name == name) return entry.dtype;
    }
    throw Error(ExitCode::data_invalid, 701, fmt::format("'{}' is no element type.", name),
                "Known are f32, bf16, f16, f64, u8, i8, u16, i16, u32, i32 and i64.");
}

}  // namespace terrane
