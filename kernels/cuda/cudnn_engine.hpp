#pragma once

#include <cudnn_frontend.h>

#include <map>
#include <unordered_map>
#include <vector>

#include "cuda/libraries.hpp"
#include "cuda/plan.hpp"
#include "cuda/runtime.hpp"

/// What plans around cuDNN's graph API have in common: a graph is described once, then one of cuDNN's engines
/// for it is chosen and built.
namespace terrane::cuda {

class CudnnEngine;

/// What plans share: the handle, and every engine that was ever made ready, since doing so takes 30 ms,
/// networks repeat their layers, and a network is planned more than once (for its size, for its run).
class Cudnn {
  public:
    Cudnn(Queue stream, const std::string& device, EngineChoices& kept, const Float32Products& products);
    ~Cudnn();
    Cudnn(const Cudnn&) = delete;
    Cudnn& operator=(const Cudnn&) = delete;

    /// The engine of that key; `make` describes and chooses it if there is none yet. Engines keep nothing
    /// between runs, so that several plans may use one.
    template <typename Make>
    CudnnEngine& engine(const EngineKey& key, Make make) {
        std::unique_ptr<CudnnEngine>& place = engines_[key.text()];
        if (!place) place = make();
        return *place;
    }

    Queue queue;
    std::string device_name;
    EngineChoices& choices;
    const Float32Products& float32;
    cudnnHandle_t handle = nullptr;

  private:
    std::map<std::string, std::unique_ptr<CudnnEngine>> engines_;
};

cudnn_frontend::DataType_t cudnn_type_of(DType dtype);

/// One graph with the engine that runs it.
class CudnnEngine {
  public:
    /// A tensor that comes in or goes out, for measuring.
    struct Operand {
        std::int64_t uid;
        std::size_t bytes;
    };
    using Pointers = std::unordered_map<std::int64_t, void*>;

    /// `purpose`: for messages, "forward convolution".
    CudnnEngine(Cudnn& shared, std::string purpose);

    /// To be described; intermediate results and arithmetic are f32.
    cudnn_frontend::graph::Graph& graph() { return graph_; }
    /// Chooses and builds an engine with none of the `unwanted` notes: the one kept under `key`, or the
    /// fastest.
    void choose(const EngineKey& key, const std::vector<cudnn_frontend::NumericalNote_t>& unwanted,
                const std::vector<Operand>& operands);

    /// Why it can't run; empty if it can.
    const std::string& reason() const { return reason_; }
    std::size_t workspace() const { return library_workspace(workspace_); }
    const std::string& name() const { return name_; }

    /// Throws Error E0714 if cuDNN fails.
    void run(Pointers pointers, std::byte* workspace);

  private:
    bool fails(cudnn_frontend::error_t status);
    bool plan_with(const std::vector<cudnn_frontend::HeurMode_t>& heuristics,
                   const std::vector<cudnn_frontend::NumericalNote_t>& unwanted);
    std::vector<std::int64_t> build(const std::string& wanted);
    void use(std::int64_t index);
    std::int64_t fastest(const std::vector<std::int64_t>& candidates, const std::vector<Operand>& operands,
                         EngineSearch& search);

    Cudnn& shared_;
    std::string purpose_;
    cudnn_frontend::graph::Graph graph_;
    std::int64_t index_ = 0;
    std::size_t workspace_ = 0;
    std::string name_, reason_;
};

}  // namespace terrane::cuda
