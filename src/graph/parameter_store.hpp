#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "device/backend.hpp"
#include "graph/graph.hpp"

namespace terrane::graph {

/// Owner of a model's numbers: all parameters in one flat buffer P, their gradients in one flat buffer G with
/// the same offsets (trainable ones first, by completion of their gradients, so that buckets are slices), and
/// the states. Several programs (training, evaluation, prediction) share one store and find their values in
/// it by name.
class ParameterStore {
  public:
    struct Entry {
        std::string name;
        Shape shape;
        std::int64_t offset = 0;  ///< in elements from the start of P (and of G)
        Trainable trainable = Trainable::yes;
        Initializer initializer;

        std::int64_t elements() const { return shape.elements(); }
    };
    struct State {
        std::string name;
        TensorSpec spec;
        Saved saved = Saved::yes;
        double initial = 0;
        std::byte* data = nullptr;  ///< in one of the store's blocks

        TensorView view() const { return {data, spec}; }
    };

    /// Lays out and allocates the parameters and states of a graph, all zero. G only for training graphs.
    ParameterStore(device::Backend& backend, const Graph& graph);

    /// Adds the states of another graph that this one lacks; its parameters must all be here with equal
    /// shapes. Throws Error E0730 naming the first that is not.
    void adopt(const Graph& graph);

    /// Sets every parameter by its initializer and every state to its initial value.
    void initialise(std::uint64_t seed);

    DType dtype() const { return dtype_; }
    const std::vector<Entry>& entries() const { return entries_; }  ///< sorted by offset
    const std::deque<State>& states() const { return states_; }
    /// The f32 states that checkpoints hold, padding included (always zero), block by block: one for every
    /// graph that brought some.
    std::span<const std::span<float>> saved_states() const { return saved_states_; }
    const Entry* find(const std::string& name) const;  ///< null if there is none

    TensorView parameter(const Entry& entry) const;
    TensorView gradient(const Entry& entry) const;
    /// The state of that name. Throws InternalError if there is none.
    TensorView state(const std::string& name) const;

    std::int64_t trainable_elements() const { return trainable_elements_; }  ///< with alignment padding
    std::int64_t parameter_count() const;                                    ///< without padding
    std::int64_t trainable_count() const;
    std::size_t parameter_bytes() const { return parameters_.bytes(); }
    std::size_t gradient_bytes() const { return gradients_.bytes(); }
    std::size_t state_bytes() const;

    /// The trainable part of P, and G: equal lengths, padding included (always zero).
    std::span<float> trainable_values() const;
    std::span<float> gradient_values() const;

  private:
    /// Throws Error E0730.
    void require_parameter(const Value& value) const;
    /// Allocates the states that have no memory yet, those of `saved` kind or the others, one after another.
    void allocate_states(bool saved);

    device::Backend& backend_;
    DType dtype_ = DType::f32;
    std::vector<Entry> entries_;
    std::map<std::string, std::size_t> index_;
    std::deque<State> states_;
    std::vector<device::Buffer> state_blocks_;
    std::vector<std::span<float>> saved_states_;
    std::int64_t trainable_elements_ = 0;
    device::Buffer parameters_;
    device::Buffer gradients_;
};

}  // namespace terrane::graph
