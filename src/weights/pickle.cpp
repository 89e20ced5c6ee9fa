#include "weights/pickle.hpp"

#include <bit>

#include "base/error.hpp"
#include "weights/printable.hpp"

namespace terrane::weights::pickle {

namespace {

// Far above what any checkpoint needs, far below what would hurt: at most some 200 MB in all.
constexpr std::size_t most_stack = std::size_t{1} << 22;
constexpr std::size_t most_containers = std::size_t{1} << 21;
/// Python numbers its memo without gaps (its second version from 1); a larger gap is an attack.
constexpr std::size_t largest_memo_gap = 1;

/// The opcodes that torch.save produces with pickle protocols 2 to 5 (names as in Python's pickle module).
enum Opcode : std::uint8_t {
    mark = '(',
    stop = '.',
    pop_one = '0',
    pop_mark = '1',
    dup = '2',
    binint = 'J',
    binint1 = 'K',
    binint2 = 'M',
    none = 'N',
    binpersid = 'Q',
    reduce = 'R',
    binstring = 'T',
    short_binstring = 'U',
    binunicode = 'X',
    append = 'a',
    build_object = 'b',
    global_name = 'c',
    dict = 'd',
    empty_dict = '}',
    appends = 'e',
    binget = 'h',
    long_binget = 'j',
    list = 'l',
    empty_list = ']',
    binput = 'q',
    long_binput = 'r',
    setitem = 's',
    tuple = 't',
    empty_tuple = ')',
    setitems = 'u',
    binfloat = 'G',
    binbytes = 'B',
    short_binbytes = 'C',
    proto = 0x80,
    newobj = 0x81,
    tuple1 = 0x85,
    tuple2 = 0x86,
    tuple3 = 0x87,
    newtrue = 0x88,
    newfalse = 0x89,
    long1 = 0x8a,
    long4 = 0x8b,
    short_binunicode = 0x8c,
    binunicode8 = 0x8d,
    binbytes8 = 0x8e,
    empty_set = 0x8f,
    additems = 0x90,
    frozenset = 0x91,
    newobj_ex = 0x92,
    stack_global = 0x93,
    memoize = 0x94,
    frame = 0x95,
    bytearray8 = 0x96,
};

Value made(Kind kind, std::uint64_t index) {
    Value value;
    value.kind = kind;
    value.index = index;
    return value;
}

Value made_integer(Kind kind, std::int64_t integer) {
    Value value;
    value.kind = kind;
    value.integer = integer;
    return value;
}

bool has_items(Kind kind) {
    return kind == Kind::list || kind == Kind::dictionary || kind == Kind::opaque;
}

}  // namespace

Machine::Machine(Heap& heap, std::span<const std::byte> bytes, std::string where)
    : heap_(heap), bytes_(bytes.first(std::min(bytes.size(), longest_pickle))), where_(std::move(where)) {}

void Machine::refuse(const std::string& reason) const {
    throw Error(ExitCode::data_invalid, 621,
                fmt::format("{}, byte {} of the pickle: {}.", where_, at_, reason),
                "Only weights as torch.save writes them are read: save the model's state_dict() again.");
}

std::string_view Machine::text(const Value& value) const {
    if (value.kind != Kind::text) return {};
    return {reinterpret_cast<const char*>(bytes_.data()) + value.index, value.length};
}

std::uint8_t Machine::byte() {
    if (at_ >= bytes_.size()) refuse("it ends before its STOP");
    return std::to_integer<std::uint8_t>(bytes_[at_++]);
}

std::uint64_t Machine::number(int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= std::uint64_t{byte()} << (8 * i);
    return value;
}

std::string_view Machine::take(std::uint64_t length) {
    if (length > bytes_.size() - at_) refuse(fmt::format("a text of {} bytes goes beyond the end", length));
    const std::string_view taken(reinterpret_cast<const char*>(bytes_.data()) + at_, length);
    at_ += length;
    return taken;
}

std::string_view Machine::line() {
    const std::size_t begin = at_;
    while (byte() != '\n') {
        if (at_ - begin > 1000) refuse("a name is longer than 1000 bytes");
    }
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, at_ - begin - 1};
}

Value Machine::run(std::size_t& position) {
    at_ = position;
    stack_.clear();
    marks_.clear();
    memo_.clear();
    for (;;) {
        const std::uint8_t opcode = byte();
        if (opcode == stop) break;
        if (step(opcode)) continue;
        --at_;
        refuse(fmt::format("opcode 0x{:02x} is not among those that torch.save writes", opcode));
    }
    position = at_;
    return pop();
}

bool Machine::step(std::uint8_t opcode) {
    switch (opcode) {
        case proto:
            if (const std::uint8_t version = byte(); version > 5) {
                refuse(fmt::format("pickle protocol {} is unknown", version));
            }
            return true;
        case frame:
            number(8);
            return true;
        case mark:
            if (marks_.size() >= most_stack) refuse("it is nested too deeply");
            marks_.push_back(stack_.size());
            return true;
        case pop_one:
            if (!marks_.empty() && marks_.back() == stack_.size()) {
                marks_.pop_back();
            } else {
                pop();
            }
            return true;
        case pop_mark:
            pop_to_mark();
            return true;
        case dup:
            push(top());
            return true;
        case binput:
            memorise(number(1));
            return true;
        case long_binput:
            memorise(number(4));
            return true;
        case memoize:
            memorise(memo_.size());
            return true;
        case binget:
        case long_binget: {
            const std::uint64_t index = number(opcode == binget ? 1 : 4);
            if (index >= memo_.size()) refuse(fmt::format("memo entry {} was never put", index));
            push(memo_[index]);
            return true;
        }
        default:
            return step_constant(opcode) || step_container(opcode) || step_object(opcode);
    }
}

bool Machine::step_constant(std::uint8_t opcode) {
    switch (opcode) {
        case none:
            push({});
            return true;
        case newtrue:
        case newfalse:
            push(made_integer(Kind::boolean, opcode == newtrue ? 1 : 0));
            return true;
        case binint:
            push(made_integer(Kind::integer, static_cast<std::int32_t>(number(4))));
            return true;
        case binint1:
            push(made_integer(Kind::integer, static_cast<std::int64_t>(number(1))));
            return true;
        case binint2:
            push(made_integer(Kind::integer, static_cast<std::int64_t>(number(2))));
            return true;
        case long1:
            push_long(number(1));
            return true;
        case long4:
            push_long(number(4));
            return true;
        case binfloat: {  // the only big-endian number of the format
            std::uint64_t bits = 0;
            for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
            Value value;
            value.kind = Kind::real;
            value.real = std::bit_cast<double>(bits);
            push(value);
            return true;
        }
        case short_binstring:
        case short_binunicode:
        case short_binbytes:
            push_text(number(1));
            return true;
        case binstring:
        case binunicode:
        case binbytes:
            push_text(number(4));
            return true;
        case binunicode8:
        case binbytes8:
        case bytearray8:
            push_text(number(8));
            return true;
        default:
            return false;
    }
}

bool Machine::step_container(std::uint8_t opcode) {
    switch (opcode) {
        case empty_tuple:
            push(made(Kind::tuple, 0));
            return true;
        case empty_list:
            push_container(Kind::list, {});
            return true;
        case empty_dict:
            push_container(Kind::dictionary, {});
            return true;
        case empty_set:
            push(opaque());
            return true;
        case tuple1:
        case tuple2:
        case tuple3: {
            std::vector<Value> items(static_cast<std::size_t>(opcode - tuple1 + 1));
            for (std::size_t i = items.size(); i-- > 0;) items[i] = pop();
            push_container(Kind::tuple, std::move(items));
            return true;
        }
        case tuple:
            push_container(Kind::tuple, pop_to_mark());
            return true;
        case list:
            push_container(Kind::list, pop_to_mark());
            return true;
        case dict: {
            std::vector<Value> items = pop_to_mark();
            if (items.size() % 2 != 0) refuse("a dictionary has a key without a value");
            push_container(Kind::dictionary, std::move(items));
            return true;
        }
        case frozenset:
            pop_to_mark();
            push(opaque());
            return true;
        case append: {
            const Value item = pop();
            extend(Kind::list, {item});
            return true;
        }
        case appends:
            extend(Kind::list, pop_to_mark());
            return true;
        case additems:
            extend(Kind::opaque, pop_to_mark());
            return true;
        case setitem: {
            const Value value = pop();
            const Value key = pop();
            extend(Kind::dictionary, {key, value});
            return true;
        }
        case setitems:
            extend(Kind::dictionary, pop_to_mark());
            return true;
        default:
            return false;
    }
}

bool Machine::step_object(std::uint8_t opcode) {
    switch (opcode) {
        case global_name: {
            const std::string_view module = line();
            push(global(module, line()));
            return true;
        }
        case stack_global: {
            const Value name = pop();
            const Value module = pop();
            if (name.kind != Kind::text || module.kind != Kind::text) refuse("a global's name is not a text");
            push(global(text(module), text(name)));
            return true;
        }
        case binpersid:
            push(storage_of(pop()));
            return true;
        case reduce:
        case newobj: {
            const Value arguments = pop();
            push(call(pop(), arguments));
            return true;
        }
        case newobj_ex: {
            pop();  // keyword arguments mean nothing to the types we know
            const Value arguments = pop();
            push(call(pop(), arguments));
            return true;
        }
        case build_object:
            build();
            return true;
        default:
            return false;
    }
}

void Machine::push(const Value& value) {
    if (stack_.size() >= most_stack) refuse("its stack grows beyond all checkpoints");
    stack_.push_back(value);
}

Value& Machine::top() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("it takes from an empty stack");
    return stack_.back();
}

Value Machine::pop() {
    const Value value = top();
    stack_.pop_back();
    return value;
}

std::vector<Value> Machine::pop_to_mark() {
    if (marks_.empty()) refuse("it goes back to a mark that was never set");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Value> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
}

void Machine::memorise(std::uint64_t index) {
    if (index > memo_.size() + largest_memo_gap || index >= most_stack) {
        refuse(fmt::format("memo entry {} after {} others", index, memo_.size()));
    }
    const Value value = top();
    if (index >= memo_.size()) memo_.resize(index + 1);
    memo_[index] = value;
}

void Machine::push_text(std::uint64_t length) {
    const std::size_t begin = at_;
    take(length);
    Value value = made(Kind::text, begin);
    value.length = static_cast<std::uint32_t>(length);  // within longest_pickle
    push(value);
}

void Machine::push_long(std::uint64_t length) {
    const std::string_view digits = take(length);
    if (length > 8) {
        push(opaque());
        return;
    }
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < length; ++i)
        bits |= std::uint64_t{static_cast<std::uint8_t>(digits[i])} << (8 * i);
    const bool negative = length > 0 && (static_cast<std::uint8_t>(digits[length - 1]) & 0x80u) != 0;
    if (negative && length < 8) bits |= ~std::uint64_t{0} << (8 * length);
    push(made_integer(Kind::integer, static_cast<std::int64_t>(bits)));
}

void Machine::push_container(Kind kind, std::vector<Value> items) {
    if (heap_.containers.size() >= most_containers) refuse("it makes more containers than any checkpoint");
    items.shrink_to_fit();
    heap_.containers.push_back({std::move(items), {}});
    push(made(kind, heap_.containers.size() - 1));
}

// Adds to the container on top of the stack. Objects of unknown types take anything and stay opaque.
void Machine::extend(Kind kind, std::vector<Value> items) {
    const Value& target = top();
    if (!has_items(target.kind) || (target.kind != kind && target.kind != Kind::opaque)) {
        refuse("it adds to something that is no such container");
    }
    if (kind == Kind::dictionary && items.size() % 2 != 0) refuse("a dictionary has a key without a value");
    std::vector<Value>& present = heap_.containers[target.index].items;
    present.insert(present.end(), items.begin(), items.end());
}

void Machine::build() {
    const Value state = pop();
    const Value& object = top();
    // An OrderedDict's own attributes (_metadata) and a tensor's do not matter.
    if (object.kind == Kind::opaque) heap_.containers[object.index].state = state;
}

Value Machine::opaque() {
    if (heap_.containers.size() >= most_containers) refuse("it makes more containers than any checkpoint");
    heap_.containers.emplace_back();
    return made(Kind::opaque, heap_.containers.size() - 1);
}

}  // namespace terrane::weights::pickle
