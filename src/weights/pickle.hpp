#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.hpp"

/// Python's pickle as far as torch.save uses it: a machine that only ever makes numbers, texts, containers
/// and descriptions of tensors. A pickle is a program, and a hostile one; here nothing that it names is
/// looked up or called. Globals on a short list have a meaning of ours, every other one becomes an opaque
/// value that is skipped with a note.
namespace terrane::weights::pickle {

enum class Kind : std::uint8_t {
    none,
    boolean,     ///< integer: 0 or 1
    integer,     ///< integer; one beyond 64 bits is opaque
    real,        ///< real
    text,        ///< `length` bytes of the pickle from `index` on: a string or bytes
    tuple,       ///< containers[index]
    list,        ///< containers[index]
    dictionary,  ///< containers[index], key and value in turn
    global,      ///< globals[index]
    storage,     ///< storages[index]
    tensor,      ///< tensors[index]
    opaque,      ///< something that has no meaning here; containers[index] holds its state
};

/// A value on the stack; 16 bytes, since a hostile pickle makes one with every byte.
struct Value {
    Kind kind = Kind::none;
    std::uint32_t length = 0;
    union {
        std::int64_t integer = 0;
        double real;
        std::uint64_t index;
    };
};

struct Container {
    std::vector<Value> items;
    Value state;  ///< what BUILD gave to an opaque object
};

/// What a global is to us.
enum class Meaning : std::uint8_t {
    storage_type,
    rebuild_tensor,
    rebuild_parameter,
    rebuild_from_type,
    dictionary_type,
    size_type,
    harmless,  ///< opaque and not worth a note: types, devices, numpy scalars, plain containers
    unknown,
};

struct Global {
    Meaning meaning = Meaning::unknown;
    DType dtype = DType::f32;  ///< of a storage type
    std::string name;          ///< "torch.FloatStorage", fit for messages
};

/// A run of elements in the file, by the key under which the file keeps it.
struct Storage {
    std::string_view key;
    DType dtype = DType::f32;
    std::uint64_t elements = 0;    ///< of the whole storage
    std::uint64_t view_first = 0;  ///< of the part that tensors see (legacy files)
    std::uint64_t view_elements = 0;
};

/// A strided view of a storage, checked against its size.
struct Tensor {
    static constexpr int max_rank = 6;

    std::uint64_t storage = 0;
    std::uint64_t offset = 0;  ///< in elements from the start of the storage
    int rank = 0;
    std::array<std::int64_t, max_rank> sizes{};
    std::array<std::int64_t, max_rank> strides{};
};

/// Everything a pickle (or several of one file) made. Texts are views of the pickle's bytes, which must
/// outlive it.
struct Heap {
    std::vector<Container> containers{Container{}};  ///< the first is the empty tuple
    std::vector<Global> globals;
    std::vector<Storage> storages;
    std::vector<Tensor> tensors;
    std::vector<std::string> notes;  ///< what was skipped, each once

    void note(const std::string& text);
};

/// Largest pickle that is read. The tensors themselves lie outside of it.
inline constexpr std::size_t longest_pickle = std::size_t{64} << 20;

/// Runs one pickle.
class Machine {
  public:
    /// `bytes` must outlive the heap; `where` is put before messages ("model.pth, data.pkl").
    Machine(Heap& heap, std::span<const std::byte> bytes, std::string where);

    /// Executes from `position` up to STOP, leaves `position` behind it and returns the result. Throws Error
    /// E0621 (65) with the byte at which something is damaged, forbidden or beyond the limits.
    Value run(std::size_t& position);

    std::string_view text(const Value& value) const;
    std::size_t size() const { return bytes_.size(); }

  private:
    [[noreturn]] void refuse(const std::string& reason) const;

    std::uint8_t byte();
    std::uint64_t number(int bytes);
    std::string_view take(std::uint64_t length);
    std::string_view line();

    bool step(std::uint8_t opcode);
    bool step_constant(std::uint8_t opcode);
    bool step_container(std::uint8_t opcode);
    bool step_object(std::uint8_t opcode);

    void push(const Value& value);
    Value pop();
    Value& top();
    std::vector<Value> pop_to_mark();
    void memorise(std::uint64_t index);
    void push_text(std::uint64_t length);
    void push_long(std::uint64_t length);
    void push_container(Kind kind, std::vector<Value> items);
    void extend(Kind kind, std::vector<Value> items);
    void build();

    Value global(std::string_view module, std::string_view name);
    Value opaque();
    Value call(const Value& callable, const Value& arguments);
    Value rebuild_tensor(const std::vector<Value>& arguments);
    Value make_dictionary(const std::vector<Value>& arguments);
    Value storage_of(const Value& identifier);
    const std::vector<Value>& items_of(const Value& value, const char* what) const;
    std::int64_t count_of(const Value& value, const char* what) const;

    Heap& heap_;
    std::span<const std::byte> bytes_;
    std::string where_;
    std::size_t at_ = 0;
    std::vector<Value> stack_;
    std::vector<std::size_t> marks_;
    std::vector<Value> memo_;
    std::map<std::string, std::uint64_t, std::less<>> known_globals_;
};

/// The meaning of module.name.
Global classify_global(std::string_view module, std::string_view name);

}  // namespace terrane::weights::pickle
