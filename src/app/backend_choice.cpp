#include "app/backend_choice.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <sstream>

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

// The other GPUs are not even opened: CUDA, which hasn't looked yet, sees one.
void choose_gpu(const Invocation& invocation, const config::Runtime& runtime) {
    if (!invocation.has("gpu-ids")) return;
    const std::string visible = visible_gpu(invocation.text("gpu-ids"), invocation.world().size(),
                                            comm::environment_variable("CUDA_VISIBLE_DEVICES"));
    if (runtime.device != "cuda" && runtime.device != "auto") {
        log::info("note  --gpu-ids has no effect: the device is {}", runtime.device);
    } else if (invocation.world().size() > 1) {
        log::info("note  --gpu-ids has no effect on {} ranks: each takes the GPU of its local rank",
                  invocation.world().size());
    } else {
        ::setenv("CUDA_VISIBLE_DEVICES", visible.c_str(), 1);
    }
}

}  // namespace

std::string visible_gpu(const std::string& gpu_ids, int ranks, const std::optional<std::string>& visible) {
    const auto split = [](const std::string& text) {
        std::vector<std::string> parts;
        std::istringstream list(text);
        for (std::string one; std::getline(list, one, ',');) parts.push_back(one);
        return parts;
    };
    const std::vector<std::string> wanted = split(gpu_ids);
    for (const std::string& one : wanted) {
        if (one.empty() || one.size() > 4 || one.find_first_not_of("0123456789") != std::string::npos) {
            throw Error(ExitCode::usage, 103,
                        fmt::format("--gpu-ids takes numbers from 0, but was given \"{}\".", gpu_ids),
                        "Example: --gpu-ids 1");
        }
    }
    if (ranks > 1) return visible.value_or("");
    const auto refuse = [](const std::string& message, const std::string& fix) {
        throw Error(ExitCode::device_unavailable, 715, message, fix);
    };
    if (wanted.size() != 1) {
        refuse(fmt::format("--gpu-ids names {} GPUs, but one rank computes on one.", wanted.size()),
               fmt::format("Start a rank for each: CUDA_VISIBLE_DEVICES={} mpirun -n {} terrane ...", gpu_ids,
                           wanted.size()));
    }
    const auto number = static_cast<std::size_t>(std::stoi(wanted[0]));
    if (!visible) return std::to_string(number);
    const std::vector<std::string> seen = split(*visible);
    if (number >= seen.size()) {
        refuse(fmt::format("--gpu-ids names GPU {}, but CUDA_VISIBLE_DEVICES=\"{}\" shows {}.", number,
                           *visible, seen.size()),
               "--gpu-ids counts the visible GPUs, from 0.");
    }
    return seen[number];
}

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
         invocation.communicator().all_gather(cuda::why_unusable(invocation.world().local_rank())))
        findings.push_back({why_not});
    return choose_device(findings, invocation.world().hosts());
}

ChosenBackend choose_backend(const Invocation& invocation, const config::Runtime& runtime) {
    const comm::World& world = invocation.world();
    choose_gpu(invocation, runtime);
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
