/// What the globals of torch.save mean: storages, tensors, dictionaries.
#include "base/error.hpp"
#include "weights/pickle.hpp"
#include "weights/printable.hpp"

namespace terrane::weights::pickle {

namespace {

constexpr std::size_t most_globals = 1 << 14;
constexpr std::size_t most_tensors = 1 << 20;
constexpr std::int64_t most_elements = std::int64_t{1} << 48;

Value made(Kind kind, std::uint64_t index) {
    Value value;
    value.kind = kind;
    value.index = index;
    return value;
}

}  // namespace

Value Machine::global(std::string_view module, std::string_view name) {
    const std::string full = std::string(module.substr(0, 200)) + "\n" + std::string(name.substr(0, 200));
    const auto found = known_globals_.find(full);
    if (found != known_globals_.end()) return made(Kind::global, found->second);
    if (heap_.globals.size() >= most_globals) refuse("it names more types than any checkpoint");
    heap_.globals.push_back(classify_global(module, name));
    known_globals_.emplace(full, heap_.globals.size() - 1);
    return made(Kind::global, heap_.globals.size() - 1);
}

const std::vector<Value>& Machine::items_of(const Value& value, const char* what) const {
    if (value.kind != Kind::tuple && value.kind != Kind::list) refuse(fmt::format("{} is no tuple", what));
    return heap_.containers[value.index].items;
}

std::int64_t Machine::count_of(const Value& value, const char* what) const {
    if (value.kind != Kind::integer || value.integer < 0 || value.integer > most_elements) {
        refuse(fmt::format("{} is no sensible count", what));
    }
    return value.integer;
}

Value Machine::call(const Value& callable, const Value& arguments) {
    if (callable.kind != Kind::global) return opaque();
    const Global function = heap_.globals[callable.index];
    switch (function.meaning) {
        case Meaning::rebuild_tensor:
            return rebuild_tensor(items_of(arguments, "the description of a tensor"));
        case Meaning::rebuild_parameter: {
            const std::vector<Value>& items = items_of(arguments, "the description of a parameter");
            if (items.empty()) refuse("a parameter has no tensor");
            return items[0];
        }
        case Meaning::rebuild_from_type: {  // (function, type, its arguments, attributes)
            const std::vector<Value>& items = items_of(arguments, "the description of a tensor");
            if (items.size() < 3 || items[0].kind != Kind::global) refuse("a tensor has no description");
            // Only one level: the recursion must not be the pickle's to choose.
            if (heap_.globals[items[0].index].meaning == Meaning::rebuild_from_type) return opaque();
            return call(items[0], items[2]);
        }
        case Meaning::dictionary_type:
            return make_dictionary(items_of(arguments, "the content of a dictionary"));
        case Meaning::size_type: {
            const std::vector<Value>& items = items_of(arguments, "a size");
            if (items.size() == 1 && items[0].kind == Kind::tuple) return items[0];
            return opaque();
        }
        case Meaning::storage_type:
        case Meaning::harmless:
            return opaque();
        case Meaning::unknown:
            heap_.note(fmt::format("skipped an object of {}", function.name));
            return opaque();
    }
    return opaque();
}

// OrderedDict([(key, value), ...]) as Python 2 wrote it, or empty and filled by SETITEMS.
Value Machine::make_dictionary(const std::vector<Value>& arguments) {
    std::vector<Value> content;
    if (arguments.size() == 1 && arguments[0].kind == Kind::list) {
        for (const Value& pair : heap_.containers[arguments[0].index].items) {
            const std::vector<Value>& items = items_of(pair, "a dictionary's entry");
            if (items.size() != 2) refuse("a dictionary's entry is no pair");
            content.insert(content.end(), items.begin(), items.end());
        }
    }
    const Value result = opaque();
    heap_.containers[result.index].items = std::move(content);
    return made(Kind::dictionary, result.index);
}

// ("storage", type, key, device, elements) and in legacy files a view of another storage: (key, first,
// elements).
Value Machine::storage_of(const Value& identifier) {
    const std::vector<Value>& items = items_of(identifier, "a storage's identifier");
    // A legacy file names the class of a module together with its source code.
    if (items.size() >= 2 && text(items[0]) == "module" && items[1].kind == Kind::global) return items[1];
    if (items.size() < 5 || text(items[0]) != "storage" || items[1].kind != Kind::global ||
        items[2].kind != Kind::text) {
        refuse("a persistent object is no storage");
    }
    const Global& type = heap_.globals[items[1].index];
    if (type.meaning != Meaning::storage_type) {
        refuse(fmt::format("storages of type {} are not supported", type.name));
    }
    Storage storage{text(items[2]), type.dtype, 0, 0, 0};
    storage.elements = static_cast<std::uint64_t>(count_of(items[4], "a storage's size"));
    storage.view_elements = storage.elements;
    if (items.size() > 5 && items[5].kind == Kind::tuple) {
        const std::vector<Value>& view = heap_.containers[items[5].index].items;
        if (view.size() != 3) refuse("a view of a storage is damaged");
        storage.view_first = static_cast<std::uint64_t>(count_of(view[1], "a view's beginning"));
        storage.view_elements = static_cast<std::uint64_t>(count_of(view[2], "a view's size"));
        if (storage.view_first > storage.elements ||
            storage.view_elements > storage.elements - storage.view_first) {
            refuse("a view goes beyond its storage");
        }
    }
    if (heap_.storages.size() >= most_tensors) refuse("it has more storages than any checkpoint");
    heap_.storages.push_back(storage);
    return made(Kind::storage, heap_.storages.size() - 1);
}

Value Machine::rebuild_tensor(const std::vector<Value>& arguments) {
    if (arguments.size() < 4) refuse("a tensor's description is too short");
    if (arguments[0].kind != Kind::storage) {
        heap_.note("skipped a tensor without a readable storage");
        return opaque();
    }
    const Storage& storage = heap_.storages[arguments[0].index];
    const std::vector<Value>& sizes = items_of(arguments[2], "a tensor's shape");
    const std::vector<Value>& strides = items_of(arguments[3], "a tensor's strides");
    if (sizes.size() != strides.size()) refuse("a tensor has as many strides as sizes, this one does not");
    if (sizes.size() > static_cast<std::size_t>(Tensor::max_rank)) {
        heap_.note(fmt::format("skipped a tensor of more than {} dimensions", Tensor::max_rank));
        return opaque();
    }
    Tensor tensor;
    tensor.storage = arguments[0].index;
    tensor.rank = static_cast<int>(sizes.size());
    std::uint64_t elements = 1;
    std::uint64_t last = 0;  // offset of the last element from the first; each factor is below 2^49
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        tensor.sizes[i] = count_of(sizes[i], "a tensor's size");
        tensor.strides[i] = count_of(strides[i], "a tensor's stride");
        const auto size = static_cast<std::uint64_t>(tensor.sizes[i]);
        const auto stride = static_cast<std::uint64_t>(tensor.strides[i]);
        if (size != 0 && elements > static_cast<std::uint64_t>(most_elements) / size) {
            refuse("a tensor's shape is out of range");
        }
        elements *= size;
        if (size > 1 && stride > static_cast<std::uint64_t>(most_elements) / (size - 1)) {
            refuse("a tensor's strides are out of range");
        }
        if (size > 1) last += (size - 1) * stride;
    }
    const auto offset = static_cast<std::uint64_t>(count_of(arguments[1], "a tensor's offset"));
    if (elements > 0 && (offset >= storage.view_elements || last >= storage.view_elements - offset)) {
        refuse(fmt::format("a tensor's elements {} to {} go beyond its storage of {}", offset, offset + last,
                           storage.view_elements));
    }
    // Repeating elements by strides of zero could blow a small file up to any size.
    if (elements > storage.view_elements) refuse("an expanded tensor is larger than its storage");
    tensor.offset = elements > 0 ? offset + storage.view_first : 0;
    if (heap_.tensors.size() >= most_tensors) refuse("it has more tensors than any checkpoint");
    heap_.tensors.push_back(tensor);
    return made(Kind::tensor, heap_.tensors.size() - 1);
}

}  // namespace terrane::weights::pickle
