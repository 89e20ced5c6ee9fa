#include "app/backend_choice.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "app/gpu_selection.hpp"
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

bool may_use_gpus(const config::Runtime& runtime) {
    return runtime.device == "cuda" || runtime.device == "auto";
}

// CUDA hasn't looked yet, and looks once: what it isn't shown it doesn't open. Whether a choice was made.
bool show_gpus(const Invocation& invocation, const std::vector<std::int64_t>& ids) {
    const auto selected = select_gpus(ids, look_for_gpus(), invocation.world().local_size());
    if (selected) ::setenv("CUDA_VISIBLE_DEVICES", selected->c_str(), 1);
    return selected.has_value();
}

// What became of runtime.gpu_ids, in the banner's line or in a message of its own.
void tell_selection(const Invocation& invocation, const config::Runtime& runtime, bool selected,
                    DeviceChoice& choice) {
    const std::vector<std::int64_t>& ids = runtime.gpu_ids;
    if (choice.device != "cuda") {
        log::info("note  runtime.gpu_ids has no effect: the device is {}", choice.device);
        return;
    }
    if (!selected) {
        log::info("note  runtime.gpu_ids has no effect: CUDA_VISIBLE_DEVICES=\"{}\" leaves nothing to choose",
                  comm::environment_variable("CUDA_VISIBLE_DEVICES").value_or(""));
        return;
    }
    if (!runtime.share_device) require_gpu_per_rank(ids, invocation.world().hosts());
    choice.why += fmt::format("; runtime.gpu_ids = [{}]", fmt::join(ids, ", "));
    if (invocation.world().size() == 1 && ids.size() > 1) {
        log::warning(
            "runtime.gpu_ids names {0} GPUs, but one rank computes on one, the first: 'mpirun -n {0} terrane "
            "...' starts a rank for each.",
            ids.size());
    }
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
    const bool choosing = !runtime.gpu_ids.empty();
    const bool selected = choosing && may_use_gpus(runtime) && show_gpus(invocation, runtime.gpu_ids);
    DeviceChoice choice{runtime.device, "runtime.device"};
    if (runtime.device == "auto") {
        std::vector<GpuFinding> findings;
        for (const std::string& why_not :
             invocation.communicator().all_gather(cuda::why_unusable(invocation.world().local_rank())))
            findings.push_back({why_not});
        choice = choose_device(findings, invocation.world().hosts());
    }
    if (choosing) tell_selection(invocation, runtime, selected, choice);
    return choice;
}

ChosenBackend choose_backend(const Invocation& invocation, const config::Runtime& runtime) {
    return open_backend(invocation, runtime, agree_on_device(invocation, runtime));
}

ChosenBackend open_backend(const Invocation& invocation, const config::Runtime& runtime,
                           const DeviceChoice& choice) {
    const comm::World& world = invocation.world();
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
    const bool sums = ranks.size() > 1 || invocation.has("distributed");
    if (sums && !backend.device_id().empty() && config.runtime.device_sums == "auto" &&
        ranks_that_share(ranks.all_gather(backend.device_id())).empty()) {
        sums_ = backend.connect(
            {.rank = ranks.rank(),
             .size = ranks.size(),
             .broadcast = [&ranks](std::string& text) { ranks.broadcast(text, 0); },
             .timeout = world_.on_loss() == comm::LossResponse::none
                            ? std::chrono::hours(24 * 365)
                            : std::chrono::duration<double>(config.runtime.collective_timeout),
             .gradients = bf16 ? device::GradientSums::bf16 : device::GradientSums::f32,
             .listener = &world_.sum_listener()});
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
