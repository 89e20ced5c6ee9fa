#include "app/backend_choice.hpp"

#include <fmt/format.h>

#include <map>

#include "base/log.hpp"
#include "cpu/backend.hpp"
#include "cuda/backend.hpp"
#include "ref/backend.hpp"

namespace terrane::app {

namespace {

void refuse_to_share(const comm::World& world, const std::vector<std::string>& ids) {
    const auto groups = ranks_that_share(ids);
    if (groups.empty()) return;
    std::vector<std::string> places;
    for (const std::vector<int>& ranks : groups) {
        const auto first = static_cast<std::size_t>(ranks.front());
        places.push_back(
            fmt::format("ranks {} on {} ({})", fmt::join(ranks, ", "), world.hosts()[first], ids[first]));
    }
    throw Error(
        ExitCode::device_unavailable, 716,
        fmt::format("ranks would share a GPU: {}.", fmt::join(places, "; ")),
        "Start as many ranks per host as it has GPUs (mpirun --map-by ppr:N:node; srun "
        "--ntasks-per-node=N --gpus-per-node=N) and let CUDA_VISIBLE_DEVICES show them all or each its own; "
        "or use --device cpu; -s runtime.share_device=true allows it for tests.");
}

GpuFinding find_gpu(int local_rank) {
    const std::string why_not = cuda::why_unusable(local_rank);
    return {why_not.empty(), why_not};
}

}  // namespace

std::vector<std::vector<int>> ranks_that_share(const std::vector<std::string>& ids) {
    std::map<std::string, std::vector<int>> users;
    for (std::size_t rank = 0; rank < ids.size(); ++rank) {
        if (!ids[rank].empty()) users[ids[rank]].push_back(static_cast<int>(rank));
    }
    std::vector<std::vector<int>> groups;
    for (const auto& [id, ranks] : users) {
        if (ranks.size() > 1) groups.push_back(ranks);
    }
    return groups;
}

ChosenBackend::ChosenBackend(std::unique_ptr<device::Backend> backend, const std::string& why)
    : backend_(std::move(backend)),
      line_(fmt::format("{}{} ({})",
                        backend_->description().starts_with(backend_->name()) ? "" : backend_->name() + ", ",
                        backend_->description(), why)) {}

DeviceChoice agree_on_device(const Invocation& invocation, const config::Runtime& runtime) {
    if (runtime.device != "auto") return {runtime.device, "runtime.device"};
    std::vector<GpuFinding> findings;
    for (const std::string& why_not :
         invocation.communicator().all_gather(find_gpu(invocation.world().local_rank()).why_not))
        findings.push_back({why_not.empty(), why_not});
    return choose_device(findings, invocation.world().hosts());
}

ChosenBackend choose_backend(const Invocation& invocation, const config::Runtime& runtime) {
    const comm::World& world = invocation.world();
    const DeviceChoice choice = agree_on_device(invocation, runtime);
    if (choice.device == "ref") return {ref::make_ref_backend(), choice.why};
    if (choice.device == "cpu") {
        try {
            return {cpu::make_cpu_backend(), choice.why};
        } catch (const Error& error) {
            throw error.with_context(choice.why);
        }
    }
    auto backend = cuda::make_cuda_backend(world.local_rank());
    if (world.size() > 1 && !runtime.share_device)
        refuse_to_share(world, invocation.communicator().all_gather(backend->device_id()));
    return {std::move(backend), choice.why};
}

DeviceSums::DeviceSums(const Invocation& invocation, const config::Config& config, device::Backend& backend)
    : world_(invocation.world()) {
    comm::Communicator& ranks = invocation.communicator();
    const bool bf16 = config.train.gradient_sums == "bf16";
    if (ranks.size() > 1 && !backend.device_id().empty() && config.runtime.device_sums == "auto" &&
        ranks_that_share(ranks.all_gather(backend.device_id())).empty()) {
        sums_ = backend.connect({.rank = ranks.rank(),
                                 .size = ranks.size(),
                                 .broadcast = [&ranks](std::string& text) { ranks.broadcast(text, 0); },
                                 .timeout = std::chrono::duration<double>(config.runtime.collective_timeout),
                                 .gradients = bf16 ? device::GradientSums::bf16 : device::GradientSums::f32});
    }
    if (sums_) {
        world_.set_last_act([known = std::weak_ptr(sums_)] {
            if (const auto alive = known.lock()) alive->give_up();
        });
    } else if (bf16 && ranks.rank() == 0) {
        log::warning(
            "train.gradient_sums = \"bf16\" has no effect: gradients are summed on the host, in fp32.");
    }
}

DeviceSums::~DeviceSums() {
    if (sums_) world_.set_last_act({});
}

}  // namespace terrane::app
