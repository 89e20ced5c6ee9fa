#include "graph/parameter_store.hpp"

#include <algorithm>

namespace terrane::graph {

namespace {

/// Offsets are multiples of this many elements, so that every parameter starts on a cache line.
constexpr std::int64_t granule = 16;

/// A host array of one state filled with its initial value, in the state's type.
std::vector<std::byte> initial_bytes(const ParameterStore::State& state) {
    std::vector<std::byte> bytes(state.spec.bytes());
    const auto fill = [&](auto value) {
        const TensorView view{bytes.data(), state.spec};
        for (auto& element : view.span<decltype(value)>()) element = value;
    };
    switch (state.spec.dtype) {
        case DType::f32:
            fill(static_cast<float>(state.initial));
            break;
        case DType::f64:
            fill(state.initial);
            break;
        case DType::i64:
            fill(static_cast<std::int64_t>(state.initial));
            break;
        case DType::bf16:
        case DType::f16:
        case DType::u8:
        case DType::i8:
        case DType::u16:
        case DType::i16:
        case DType::u32:
        case DType::i32:
            TERRANE_ASSERT(false, "state '{}' has type {}", state.name, name_of(state.spec.dtype));
    }
    return bytes;
}

}  // namespace

ParameterStore::ParameterStore(device::Backend& backend, const Graph& graph) : backend_(backend) {
    std::int64_t offset = 0;
    for (const ValueId id : parameters_by_completion(graph)) {
        const Value& value = graph.value(id);
        dtype_ = value.spec.dtype;
        entries_.push_back({value.name, value.spec.shape, offset, value.trainable, value.initializer});
        index_[value.name] = entries_.size() - 1;
        offset += (value.spec.shape.elements() + granule - 1) / granule * granule;
        if (value.trainable == Trainable::yes) trainable_elements_ = offset;
    }
    parameters_ = backend.allocate(static_cast<std::size_t>(offset) * size_of(dtype_));
    if (graph.mode == device::Mode::training) {
        gradients_ = backend.allocate(static_cast<std::size_t>(trainable_elements_) * size_of(dtype_));
    }
    adopt(graph);
}

void ParameterStore::require_parameter(const Value& value) const {
    const Entry* entry = find(value.name);
    if (entry != nullptr && entry->shape == value.spec.shape) return;
    throw Error(ExitCode::config_invalid, 730,
                fmt::format("the network's parameter '{}' {} is {}.", value.name, value.spec.shape.text(),
                            entry == nullptr ? "missing from the weights"
                                             : "of shape " + entry->shape.text() + " in the weights"),
                "Use the configuration that the weights were trained with.");
}

void ParameterStore::adopt(const Graph& graph) {
    for (const Value& value : graph.values) {
        if (value.kind == ValueKind::parameter) require_parameter(value);
        if (value.kind != ValueKind::state) continue;
        const bool known = std::any_of(states_.begin(), states_.end(),
                                       [&](const State& state) { return state.name == value.name; });
        if (known) continue;
        const auto* constant = std::get_if<Constant>(&value.initializer);
        TERRANE_ASSERT(constant != nullptr, "state '{}' has no constant initial value", value.name);
        states_.push_back({value.name, value.spec, value.saved, constant->value});
    }
    allocate_states(true);
    allocate_states(false);
}

void ParameterStore::allocate_states(bool saved) {
    std::size_t bytes = 0;
    std::vector<State*> fresh;
    for (State& state : states_) {
        const bool is_of_kind = (state.saved == Saved::yes && state.spec.dtype == DType::f32) == saved;
        if (state.data != nullptr || !is_of_kind) continue;
        fresh.push_back(&state);
        bytes += device::aligned(state.spec.bytes());
    }
    if (fresh.empty()) return;
    const device::Buffer& block = state_blocks_.emplace_back(backend_.allocate(bytes));
    if (saved) saved_states_.push_back({reinterpret_cast<float*>(block.data()), bytes / sizeof(float)});
    std::byte* place = block.data();
    for (State* state : fresh) {
        state->data = place;
        place += device::aligned(state->spec.bytes());
        const std::vector<std::byte> initial = initial_bytes(*state);
        backend_.copy_to_device(state->data, initial.data(), initial.size());
    }
}

std::size_t ParameterStore::state_bytes() const {
    std::size_t bytes = 0;
    for (const device::Buffer& block : state_blocks_) bytes += block.bytes();
    return bytes;
}

void ParameterStore::initialise(std::uint64_t seed) {
    TERRANE_ASSERT(dtype_ == DType::f32 || dtype_ == DType::f64, "parameters are {}", name_of(dtype_));
    std::vector<float> values;
    for (const Entry& entry : entries_) {
        values.resize(static_cast<std::size_t>(entry.elements()));
        graph::initialise(entry.initializer, seed, entry.name, entry.shape, values);
        const TensorView view = parameter(entry);
        if (dtype_ == DType::f32) {
            backend_.copy_to_device(view.data, reinterpret_cast<const std::byte*>(values.data()),
                                    view.bytes());
        } else {
            const std::vector<double> wide(values.begin(), values.end());
            backend_.copy_to_device(view.data, reinterpret_cast<const std::byte*>(wide.data()), view.bytes());
        }
    }
    for (const State& state : states_) {
        const std::vector<std::byte> bytes = initial_bytes(state);
        backend_.copy_to_device(state.data, bytes.data(), bytes.size());
    }
}

const ParameterStore::Entry* ParameterStore::find(const std::string& name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : &entries_[found->second];
}

TensorView ParameterStore::parameter(const Entry& entry) const {
    return {parameters_.data() + static_cast<std::size_t>(entry.offset) * size_of(dtype_),
            {dtype_, entry.shape}};
}

TensorView ParameterStore::gradient(const Entry& entry) const {
    if (gradients_.data() == nullptr || entry.trainable == Trainable::no) return {};
    return {gradients_.data() + static_cast<std::size_t>(entry.offset) * size_of(dtype_),
            {dtype_, entry.shape}};
}

TensorView ParameterStore::state(const std::string& name) const {
    for (const State& state : states_) {
        if (state.name == name) return state.view();
    }
    TERRANE_ASSERT(false, "no state is called '{}'", name);
    return {};
}

std::int64_t ParameterStore::parameter_count() const {
    std::int64_t count = 0;
    for (const Entry& entry : entries_) count += entry.elements();
    return count;
}

std::int64_t ParameterStore::trainable_count() const {
    std::int64_t count = 0;
    for (const Entry& entry : entries_) count += entry.trainable == Trainable::yes ? entry.elements() : 0;
    return count;
}

std::span<float> ParameterStore::trainable_values() const {
    TERRANE_ASSERT(dtype_ == DType::f32, "parameters are {}", name_of(dtype_));
    return {reinterpret_cast<float*>(parameters_.data()), static_cast<std::size_t>(trainable_elements_)};
}

std::span<float> ParameterStore::gradient_values() const {
    TERRANE_ASSERT(dtype_ == DType::f32 && gradients_.data() != nullptr, "there are no f32 gradients");
    return {reinterpret_cast<float*>(gradients_.data()), static_cast<std::size_t>(trainable_elements_)};
}

}  // namespace terrane::graph
