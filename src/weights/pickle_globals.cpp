#include <algorithm>

#include "weights/pickle.hpp"
#include "weights/printable.hpp"

namespace terrane::weights::pickle {

namespace {

struct Known {
    std::string_view name;
    Meaning meaning;
    DType dtype = DType::f32;
};

/// The whole list. Nothing on it is ever executed either: each entry is a case in Machine::call.
constexpr Known known_globals[] = {
    {"torch.FloatStorage", Meaning::storage_type, DType::f32},
    {"torch.DoubleStorage", Meaning::storage_type, DType::f64},
    {"torch.HalfStorage", Meaning::storage_type, DType::f16},
    {"torch.BFloat16Storage", Meaning::storage_type, DType::bf16},
    {"torch.LongStorage", Meaning::storage_type, DType::i64},
    {"torch.IntStorage", Meaning::storage_type, DType::i32},
    {"torch.ShortStorage", Meaning::storage_type, DType::i16},
    {"torch.CharStorage", Meaning::storage_type, DType::i8},
    {"torch.ByteStorage", Meaning::storage_type, DType::u8},
    {"torch.BoolStorage", Meaning::storage_type, DType::u8},
    {"torch.cuda.FloatStorage", Meaning::storage_type, DType::f32},
    {"torch.cuda.DoubleStorage", Meaning::storage_type, DType::f64},
    {"torch.cuda.HalfStorage", Meaning::storage_type, DType::f16},
    {"torch.cuda.BFloat16Storage", Meaning::storage_type, DType::bf16},
    {"torch.cuda.LongStorage", Meaning::storage_type, DType::i64},
    {"torch.cuda.IntStorage", Meaning::storage_type, DType::i32},
    {"torch.cuda.ByteStorage", Meaning::storage_type, DType::u8},
    {"torch.cuda.BoolStorage", Meaning::storage_type, DType::u8},
    {"torch._utils._rebuild_tensor", Meaning::rebuild_tensor},
    {"torch._utils._rebuild_tensor_v2", Meaning::rebuild_tensor},
    {"torch._utils._rebuild_parameter", Meaning::rebuild_parameter},
    {"torch._utils._rebuild_parameter_with_state", Meaning::rebuild_parameter},
    {"torch._tensor._rebuild_from_type_v2", Meaning::rebuild_from_type},
    {"collections.OrderedDict", Meaning::dictionary_type},
    {"collections.defaultdict", Meaning::dictionary_type},
    {"builtins.dict", Meaning::dictionary_type},
    {"torch.Size", Meaning::size_type},
    {"torch.Tensor", Meaning::harmless},
    {"torch.nn.parameter.Parameter", Meaning::harmless},
    {"torch.device", Meaning::harmless},
    {"torch.float32", Meaning::harmless},
    {"torch.float16", Meaning::harmless},
    {"torch.bfloat16", Meaning::harmless},
    {"torch.int64", Meaning::harmless},
    {"numpy.dtype", Meaning::harmless},
    {"numpy.core.multiarray.scalar", Meaning::harmless},
    {"numpy._core.multiarray.scalar", Meaning::harmless},
    {"_codecs.encode", Meaning::harmless},
    {"builtins.set", Meaning::harmless},
    {"__builtin__.set", Meaning::harmless},
    {"builtins.list", Meaning::harmless},
    {"__builtin__.list", Meaning::harmless},
    {"builtins.int", Meaning::harmless},
    {"builtins.float", Meaning::harmless},
    {"builtins.object", Meaning::harmless},
    {"__builtin__.object", Meaning::harmless},
    {"copy_reg._reconstructor", Meaning::harmless},
    {"copyreg._reconstructor", Meaning::harmless},
};

constexpr std::size_t most_notes = 20;

}  // namespace

Global classify_global(std::string_view module, std::string_view name) {
    const std::string full = std::string(module.substr(0, 200)) + "." + std::string(name.substr(0, 200));
    const auto* found = std::find_if(std::begin(known_globals), std::end(known_globals),
                                     [&](const Known& known) { return known.name == full; });
    if (found == std::end(known_globals)) return {Meaning::unknown, DType::f32, printable(full)};
    return {found->meaning, found->dtype, full};
}

void Heap::note(const std::string& text) {
    if (notes.size() < most_notes && std::find(notes.begin(), notes.end(), text) == notes.end()) {
        notes.push_back(text);
    }
}

}  // namespace terrane::weights::pickle
