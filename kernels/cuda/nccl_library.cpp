#include <nccl.h>

#include <cstring>

#include "base/error.hpp"
#include "cuda/nccl_calls.hpp"
#include "cuda/versions.hpp"

namespace terrane::cuda {

namespace {

static_assert(static_cast<int>(NcclResult::success) == ncclSuccess &&
              static_cast<int>(NcclResult::remote_error) == ncclRemoteError &&
              static_cast<int>(NcclResult::in_progress) == ncclInProgress);

NcclResult translated(ncclResult_t result) {
    return static_cast<NcclResult>(result);
}

ncclDataType_t type_of(DType type) {
    switch (type) {
        case DType::f64:
            return ncclFloat64;
        case DType::bf16:
            return ncclBfloat16;
        case DType::i64:
            return ncclInt64;
        default:
            TERRANE_ASSERT(type == DType::f32, "{} can't be summed", name_of(type));
            return ncclFloat32;
    }
}

class NcclLibrary final : public NcclCalls {
  public:
    NcclLibrary() {
        int version = 0;
        if (ncclGetVersion(&version) == ncclSuccess)
            require_version({"NCCL", {NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH}, of_nccl(version)});
    }

    std::string library() const override {
        int version = 0;
        if (ncclGetVersion(&version) != ncclSuccess) return "NCCL";
        return "NCCL " + of_nccl(version).text();
    }

    NcclResult make_id(std::string& id) override {
        ncclUniqueId made;
        const ncclResult_t result = ncclGetUniqueId(&made);
        id.assign(made.internal, sizeof(made.internal));
        return translated(result);
    }

    NcclResult begin_communicator(ncclComm*& communicator, int ranks, const std::string& id,
                                  int rank) override {
        ncclUniqueId received;
        if (id.size() != sizeof(received.internal)) return NcclResult::invalid_argument;
        std::memcpy(received.internal, id.data(), id.size());
        ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
        config.blocking = 0;
        return translated(ncclCommInitRankConfig(&communicator, ranks, received, rank, &config));
    }

    NcclResult state(ncclComm* communicator) override {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t result = ncclCommGetAsyncError(communicator, &state);
        return translated(result != ncclSuccess ? result : state);
    }

    NcclResult sum(void* values, std::int64_t count, DType type, ncclComm* communicator,
                   Queue queue) override {
        return translated(ncclAllReduce(values, values, static_cast<std::size_t>(count), type_of(type),
                                        ncclSum, communicator, queue.stream));
    }

    NcclResult begin_finalising(ncclComm* communicator) override {
        return translated(ncclCommFinalize(communicator));
    }
    NcclResult destroy(ncclComm* communicator) override { return translated(ncclCommDestroy(communicator)); }
    NcclResult abort(ncclComm* communicator) override { return translated(ncclCommAbort(communicator)); }

    std::string explain(NcclResult result, ncclComm* communicator) override {
        std::string text = ncclGetErrorString(static_cast<ncclResult_t>(result));
        const char* const last = ncclGetLastError(communicator);
        if (last != nullptr && *last != '\0') text += std::string(" (") + last + ")";
        return text;
    }
};

}  // namespace

std::unique_ptr<NcclCalls> make_nccl_calls() {
    return std::make_unique<NcclLibrary>();
}
std::string nccl_version() {
    int version = 0;
    return ncclGetVersion(&version) == ncclSuccess ? "nccl " + of_nccl(version).text() : "nccl";
}

}  // namespace terrane::cuda
