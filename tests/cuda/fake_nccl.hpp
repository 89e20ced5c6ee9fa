#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda/nccl_calls.hpp"

namespace terrane::test {

/// What a test tells NCCL to do, and what it was asked.
struct NcclScript {
    using Result = cuda::NcclResult;

    Result id = Result::success;
    Result begin = Result::in_progress;
    /// Of the n-th question about the state, from 0.
    std::function<Result(int)> state = [](int) { return Result::success; };
    Result sum = Result::in_progress;
    Result finalise = Result::success;
    std::function<void(const std::string&)> write = [](const std::string&) {};  ///< told of every call

    int questions = 0, aborted = 0, destroyed = 0;
    std::string received_id;
};

class FakeNccl final : public cuda::NcclCalls {
  public:
    using Result = cuda::NcclResult;

    explicit FakeNccl(NcclScript& script) : script_(script) {}

    std::string library() const override { return "NCCL of the tests"; }
    Result make_id(std::string& id) override {
        id = "the id";
        return script_.id;
    }
    Result begin_communicator(ncclComm*& communicator, int, const std::string& id, int) override {
        script_.received_id = id;
        communicator = reinterpret_cast<ncclComm*>(&script_);
        return script_.begin;
    }
    Result state(ncclComm*) override { return script_.state(script_.questions++); }
    Result sum(void*, std::int64_t count, DType type, ncclComm*, cuda::Queue) override {
        script_.write("sum of " + std::to_string(count) + " " + std::string(name_of(type)));
        return script_.sum;
    }
    Result begin_finalising(ncclComm*) override { return script_.finalise; }
    Result destroy(ncclComm*) override {
        ++script_.destroyed;
        return Result::success;
    }
    Result abort(ncclComm*) override {
        ++script_.aborted;
        return Result::success;
    }
    std::string explain(Result result, ncclComm*) override {
        return result == Result::remote_error ? "a remote process exited" : "something else";
    }

  private:
    NcclScript& script_;
};

class FakeSumStream final : public cuda::SumStream {
  public:
    explicit FakeSumStream(NcclScript& script) : script_(script) {}

    cuda::Queue queue() const override { return {}; }
    void follow_work() override { script_.write("sums follow"); }
    void hold_up_work() override { script_.write("work waits for sums"); }
    std::byte* room(std::size_t bytes) override {
        if (room_.size() < bytes) room_.resize(bytes);
        return room_.data();
    }
    void narrow(const float*, bfloat16*, std::int64_t) override { script_.write("narrow"); }
    void widen(const bfloat16*, float*, std::int64_t) override { script_.write("widen"); }

  private:
    NcclScript& script_;
    std::vector<std::byte> room_;
};

}  // namespace terrane::test
