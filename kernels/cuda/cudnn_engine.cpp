#include "cuda/cudnn_engine.hpp"

#include <chrono>

namespace terrane::cuda {

namespace fe = cudnn_frontend;

namespace {

/// Engines that are built and measured for one pass. cuDNN lists them by its own estimate, and building one
/// takes up to a second.
constexpr std::int64_t most_measured = 8;

double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void check_cudnn(cudnnStatus_t status, const char* call) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw Error(
        ExitCode::device_unavailable, 714,
        fmt::format("cuDNN call {} failed: {}.", call, cudnnGetErrorString(status)),
        "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be restarted.");
}

}  // namespace

#define TERRANE_CUDNN_CHECK(call) check_cudnn((call), #call)

Cudnn::Cudnn(Queue stream, const std::string& device, EngineChoices& kept, const Float32Products& products)
    : queue(stream), device_name(device), choices(kept), float32(products) {
    TERRANE_CUDNN_CHECK(cudnnCreate(&handle));
    TERRANE_CUDNN_CHECK(cudnnSetStream(handle, queue.stream));
}
Cudnn::~Cudnn() {
    engines_.clear();  // before the handle that they were built with
    static_cast<void>(cudnnDestroy(handle));
}

std::shared_ptr<Cudnn> make_cudnn(Queue queue, const std::string& device_name, EngineChoices& choices,
                                  const Float32Products& float32) {
    return std::make_shared<Cudnn>(queue, device_name, choices, float32);
}

fe::DataType_t cudnn_type_of(DType dtype) {
    if (dtype == DType::bf16) return fe::DataType_t::BFLOAT16;
    return dtype == DType::f16 ? fe::DataType_t::HALF : fe::DataType_t::FLOAT;
}

CudnnEngine::CudnnEngine(Cudnn& shared, std::string purpose) : shared_(shared), purpose_(std::move(purpose)) {
    graph_.set_intermediate_data_type(fe::DataType_t::FLOAT).set_compute_data_type(fe::DataType_t::FLOAT);
}

void CudnnEngine::run(Pointers pointers, std::byte* workspace) {
    fe::error_t status =
        graph_.execute_plan_at_index(shared_.handle, pointers, library_workspace(workspace), index_);
    if (status.is_good()) return;
    throw Error(ExitCode::device_unavailable, 714,
                fmt::format("cuDNN's {} ({}) failed: {}.", purpose_, name_, status.get_message()),
                "See the driver's log (dmesg, nvidia-smi -q); after a device fault the process must be "
                "restarted.");
}

bool CudnnEngine::fails(fe::error_t status) {
    if (status.is_good()) return false;
    reason_ = fmt::format("{}: {}", purpose_, status.get_message());
    return true;
}

/// Lists the engines that a heuristic proposes for the graph.
bool CudnnEngine::plan_with(const std::vector<fe::HeurMode_t>& heuristics,
                            const std::vector<fe::NumericalNote_t>& unwanted) {
    if (fails(graph_.create_execution_plans(heuristics))) return false;
    graph_.deselect_numeric_notes(unwanted);
    return !fails(graph_.check_support());
}

void CudnnEngine::choose(const EngineKey& key, const std::vector<fe::NumericalNote_t>& unwanted,
                         const std::vector<Operand>& operands) {
    if (fails(graph_.validate()) || fails(graph_.build_operation_graph(shared_.handle))) return;
    const std::string known = shared_.choices.find(key.text());
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::int64_t> built;
    const auto build_any_of = [&](const std::string& wanted) {
        using Mode = fe::HeurMode_t;
        for (const std::vector<Mode>& heuristics :
             {std::vector{Mode::A, Mode::B}, std::vector{Mode::FALLBACK}}) {
            if (built.empty() && plan_with(heuristics, unwanted)) built = build(wanted);
        }
    };
    if (!known.empty()) build_any_of(known);
    if (built.empty()) build_any_of("");  // what was kept may not exist any more
    if (built.empty()) {
        if (reason_.empty())
            reason_ = fmt::format("{}: no engine that always sums in the same order can be built", purpose_);
        return;
    }
    reason_.clear();
    EngineSearch search{.measured = static_cast<int>(built.size()), .build_seconds = seconds_since(begin)};
    const std::int64_t chosen = fastest(built, operands, search);
    use(chosen);
    if (name_ != known) shared_.choices.keep(key.text(), name_, search);
}

/// Builds the engine of a name, or the first few that the heuristics propose; returns which could be built.
std::vector<std::int64_t> CudnnEngine::build(const std::string& wanted) {
    std::vector<std::int64_t> built;
    const std::int64_t most = wanted.empty() ? most_measured : 1;
    for (std::int64_t i = 0;
         i < graph_.get_execution_plan_count() && static_cast<std::int64_t>(built.size()) < most; ++i) {
        std::string candidate;
        if (graph_.get_plan_name_at_index(i, candidate).is_bad()) continue;
        if (!wanted.empty() && candidate != wanted) continue;
        if (graph_.build_plan_at_index(i).is_good()) built.push_back(i);
    }
    return built;
}

void CudnnEngine::use(std::int64_t index) {
    index_ = index;
    workspace_ =
        static_cast<std::size_t>(std::max<std::int64_t>(0, graph_.get_workspace_size_plan_at_index(index)));
    static_cast<void>(graph_.get_plan_name_at_index(index, name_));
}

/// Runs every candidate on scratch memory, three times after a warm-up, and takes the one with the shortest
/// run.
std::int64_t CudnnEngine::fastest(const std::vector<std::int64_t>& candidates,
                                  const std::vector<Operand>& operands, EngineSearch& search) {
    if (candidates.size() == 1) return candidates[0];
    const auto start = std::chrono::steady_clock::now();
    std::int64_t most = 1;
    for (const std::int64_t i : candidates) most = std::max(most, graph_.get_workspace_size_plan_at_index(i));
    const auto scratch = [&](std::size_t bytes) {
        device::Buffer buffer = allocate_device(bytes, shared_.queue);
        // Zeros are multiplied faster than what networks hold; these bytes are numbers around 0.7.
        TERRANE_CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0x3f, bytes, shared_.queue.stream));
        return buffer;
    };
    std::vector<device::Buffer> buffers;
    Pointers pointers;
    for (const Operand& operand : operands) {
        buffers.push_back(scratch(operand.bytes));
        pointers[operand.uid] = buffers.back().data();
    }
    const device::Buffer workspace = scratch(static_cast<std::size_t>(most));
    cudaEvent_t begin = nullptr, end = nullptr;
    TERRANE_CUDA_CHECK(cudaEventCreate(&begin));
    TERRANE_CUDA_CHECK(cudaEventCreate(&end));
    std::int64_t best = candidates[0];
    float best_time = -1;
    for (const std::int64_t i : candidates) {
        index_ = i;
        try {
            run(pointers, workspace.data());
            for (int repeat = 0; repeat < 3; ++repeat) {
                TERRANE_CUDA_CHECK(cudaEventRecord(begin, shared_.queue.stream));
                run(pointers, workspace.data());
                TERRANE_CUDA_CHECK(cudaEventRecord(end, shared_.queue.stream));
                TERRANE_CUDA_CHECK(cudaEventSynchronize(end));
                float time = 0;
                TERRANE_CUDA_CHECK(cudaEventElapsedTime(&time, begin, end));
                if (best_time >= 0 && time >= best_time) continue;
                best_time = time;
                best = i;
            }
        } catch (const Error&) {
            continue;  // an engine that fails is not a candidate
        }
    }
    static_cast<void>(cudaEventDestroy(begin));
    static_cast<void>(cudaEventDestroy(end));
    search.place = static_cast<int>(best);
    search.microseconds = 1e3 * static_cast<double>(best_time);
    search.measure_seconds = seconds_since(start);
    return best;
}

}  // namespace terrane::cuda
