#include "weights/state_dict.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.hpp"
#include "weights/printable.hpp"

namespace terrane::weights {

namespace {

using pickle::Container;
using pickle::Heap;
using pickle::Kind;
using pickle::Machine;
using pickle::Value;

constexpr int deepest_level = 32;
constexpr std::size_t most_visits = 2'000'000;
constexpr std::size_t longest_name = 1000;
/// Names may share keys in the pickle, so all together they can be longer than it, but not without limit.
constexpr std::size_t name_bytes_per_byte = 64;

/// Where training programs put the weights, best first. A teacher is the average of its student and what the
/// self-supervised methods (DINO, iBOT) evaluate.
constexpr std::array<std::string_view, 9> wrapping_keys{
    "state_dict", "model_state_dict", "model", "teacher", "student", "module", "network", "net", "weights"};
/// A module's parts, found in the state of its object.
constexpr std::array<std::string_view, 3> module_parts{"_parameters", "_buffers", "_modules"};

[[noreturn]] void refuse(const std::string& file, const std::string& reason, const std::string& fix) {
    throw Error(ExitCode::data_invalid, 622, fmt::format("{}: {}.", file, reason), fix);
}

class Walk {
  public:
    Walk(Heap& heap, const Machine& machine, const std::string& file)
        : heap_(heap), machine_(machine), file_(file) {}

    /// The value under a key of a dictionary.
    std::optional<Value> member(const Value& dictionary, std::string_view key) {
        const std::vector<Value>* items = entries_of(dictionary);
        if (items == nullptr) return std::nullopt;
        for (std::size_t i = 0; i + 1 < items->size(); i += 2) {
            visit();
            if ((*items)[i].kind == Kind::text && machine_.text((*items)[i]) == key) return (*items)[i + 1];
        }
        return std::nullopt;
    }

    bool holds_tensors(const Value& dictionary) {
        const std::vector<Value>* items = entries_of(dictionary);
        if (items == nullptr) return false;
        for (std::size_t i = 1; i < items->size(); i += 2) {
            visit();
            if ((*items)[i].kind == Kind::tensor) return true;
        }
        return false;
    }

    std::string keys_of(const Value& dictionary) const {
        const std::vector<Value>* items = entries_of(dictionary);
        std::string list;
        for (std::size_t i = 0; items != nullptr && i + 1 < items->size() && list.size() < 300; i += 2) {
            list += (list.empty() ? "" : ", ") + printable(key_text((*items)[i]));
        }
        return list;
    }

    void collect(const Value& value, const std::string& prefix, int depth) {
        visit();
        switch (value.kind) {
            case Kind::tensor:
                found(prefix, value);
                return;
            case Kind::dictionary:
                for (std::size_t i = 0; i + 1 < items(value).size(); i += 2) {
                    descend(items(value)[i + 1], prefix, key_text(items(value)[i]), depth);
                }
                return;
            case Kind::list:
            case Kind::tuple:
                for (std::size_t i = 0; i < items(value).size(); ++i) {
                    descend(items(value)[i], prefix, std::to_string(i), depth);
                }
                return;
            case Kind::opaque:
                collect_object(value, prefix, depth);
                return;
            case Kind::none:
            case Kind::boolean:
            case Kind::integer:
            case Kind::real:
            case Kind::text:
            case Kind::global:
            case Kind::storage:
                return;
        }
    }

    std::vector<NamedTensor> take() { return std::move(tensors_); }

  private:
    const std::vector<Value>& items(const Value& value) const { return heap_.containers[value.index].items; }

    /// Key and value in turn, or null if this is nothing like a dictionary.
    const std::vector<Value>* entries_of(const Value& value) const {
        if (value.kind != Kind::dictionary && value.kind != Kind::opaque) return nullptr;
        return &items(value);
    }

    std::string key_text(const Value& key) const {
        if (key.kind == Kind::text) return std::string(machine_.text(key).substr(0, longest_name));
        if (key.kind == Kind::integer) return std::to_string(key.integer);
        return "?";
    }

    void visit() {
        if (++visits_ > most_visits) refuse(file_, "its structure repeats itself without end", fix);
    }

    void descend(const Value& value, const std::string& prefix, const std::string& key, int depth) {
        switch (value.kind) {
            case Kind::none:
            case Kind::boolean:
            case Kind::integer:
            case Kind::real:
            case Kind::text:
            case Kind::global:
            case Kind::storage:
                visit();
                return;
            case Kind::tensor:
            case Kind::dictionary:
            case Kind::list:
            case Kind::tuple:
            case Kind::opaque:
                if (depth >= deepest_level) refuse(file_, "it is nested too deeply", fix);
                collect(value, prefix.empty() ? key : prefix + "." + key, depth + 1);
                return;
        }
    }

    void collect_object(const Value& object, const std::string& prefix, int depth) {
        const Container& container = heap_.containers[object.index];
        // A subclass of dict that we do not know (a configuration) has its entries here.
        for (std::size_t i = 0; container.items.size() % 2 == 0 && i < container.items.size(); i += 2) {
            descend(container.items[i + 1], prefix, key_text(container.items[i]), depth);
        }
        for (const std::string_view part : module_parts) {
            const std::optional<Value> content = member(container.state, part);
            if (!content || content->kind != Kind::dictionary) continue;
            if (depth >= deepest_level) refuse(file_, "it is nested too deeply", fix);
            collect(*content, prefix, depth + 1);
        }
    }

    void found(const std::string& name, const Value& tensor) {
        name_bytes_ += name.size() + sizeof(NamedTensor);
        if (name.size() > longest_name || name_bytes_ > name_bytes_per_byte * machine_.size()) {
            refuse(file_, "its names are longer than any checkpoint's", fix);
        }
        tensors_.push_back({name, tensor.index});
    }

    static constexpr const char* fix = "Save the model's state_dict() alone.";
    Heap& heap_;
    const Machine& machine_;
    const std::string& file_;
    std::size_t visits_ = 0;
    std::size_t name_bytes_ = 0;
    std::vector<NamedTensor> tensors_;
};

}  // namespace

std::vector<NamedTensor> find_state_dict(Heap& heap, const Machine& machine, const Value& root,
                                         const std::string& part, const std::string& file) {
    Walk walk(heap, machine, file);
    Value at = root;
    if (!part.empty()) {
        const std::optional<Value> wanted = walk.member(root, part);
        if (!wanted) {
            refuse(file, fmt::format("it has no part \"{}\"", part),
                   fmt::format("Choose among its keys: {}.", walk.keys_of(root)));
        }
        at = *wanted;
    }
    for (int level = 0; level < 4 && !walk.holds_tensors(at); ++level) {
        std::optional<Value> inner;
        for (const std::string_view key : wrapping_keys) {
            inner = walk.member(at, key);
            if (!inner || (inner->kind != Kind::dictionary && inner->kind != Kind::opaque)) {
                inner.reset();
                continue;
            }
            heap.note(fmt::format("took the weights under \"{}\" of: {}", key, walk.keys_of(at)));
            break;
        }
        if (!inner) break;
        at = *inner;
    }
    walk.collect(at, "", 0);
    std::vector<NamedTensor> tensors = walk.take();
    if (tensors.empty()) {
        refuse(file, "there is no tensor in it",
               "Give a file that holds a model's state_dict(); other parts can be chosen with --part.");
    }
    std::stable_sort(tensors.begin(), tensors.end(),
                     [](const NamedTensor& a, const NamedTensor& b) { return a.name < b.name; });
    const auto doubled = std::adjacent_find(tensors.begin(), tensors.end(),
                                            [](const auto& a, const auto& b) { return a.name == b.name; });
    if (doubled != tensors.end()) {
        refuse(file, fmt::format("two tensors are called \"{}\"", printable(doubled->name)),
               "Save the model's state_dict() alone.");
    }
    return tensors;
}

}  // namespace terrane::weights
