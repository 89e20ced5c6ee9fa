#include "cuda/recording.hpp"

#include "cuda/runtime.hpp"

namespace terrane::cuda {

namespace {

class CapturedGraph final : public device::Backend::Recording {
  public:
    /// Takes over the graph.
    CapturedGraph(cudaGraph_t graph, Queue queue) : queue_(queue) {
        std::size_t nodes = 0;
        TERRANE_CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &nodes));
        nodes_ = static_cast<std::int64_t>(nodes);
        const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
        static_cast<void>(cudaGraphDestroy(graph));
        TERRANE_CUDA_CHECK(status);
    }
    ~CapturedGraph() override { static_cast<void>(cudaGraphExecDestroy(executable_)); }
    CapturedGraph(const CapturedGraph&) = delete;
    CapturedGraph& operator=(const CapturedGraph&) = delete;

    void replay() override {
        ++work_counts().launches;
        work_counts().replayed += nodes_;
        TERRANE_CUDA_CHECK(cudaGraphLaunch(executable_, queue_.stream));
    }

  private:
    Queue queue_;
    std::int64_t nodes_ = 0;
    cudaGraphExec_t executable_ = nullptr;
};

}  // namespace

std::unique_ptr<device::Backend::Recording> capture(Queue queue, const std::function<void()>& work) {
    const device::WorkCounts before = work_counts();  // what is recorded is not launched
    TERRANE_CUDA_CHECK(cudaStreamBeginCapture(queue.stream, cudaStreamCaptureModeThreadLocal));
    cudaGraph_t graph = nullptr;
    try {
        work();
    } catch (...) {
        static_cast<void>(cudaStreamEndCapture(queue.stream, &graph));
        if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
        static_cast<void>(cudaGetLastError());
        throw;
    }
    TERRANE_CUDA_CHECK(cudaStreamEndCapture(queue.stream, &graph));
    work_counts().launches = before.launches;
    return std::make_unique<CapturedGraph>(graph, queue);
}

}  // namespace terrane::cuda
