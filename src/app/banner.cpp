#include "app/banner.hpp"

#include "base/log.hpp"
#include "report/console.hpp"

namespace terrane::app {

void show_banner(const Invocation& invocation, const std::string& run) {
    const comm::World& world = invocation.world();
    report::Banner banner;
    banner.version = version();
    banner.verb = invocation.verb().name;
    if (!run.empty()) banner.run = "run=" + run;
    if (const auto job = comm::environment_variable("SLURM_JOB_ID")) {
        banner.job = "job " + *job;
        if (const auto restart = comm::environment_variable("SLURM_RESTART_COUNT"))
            banner.job += " restart " + *restart;
    }
    banner.nodes = world.nodes();
    banner.ranks = world.size();
    banner.message_layer = world.library();
    banner.launcher = comm::describe(world.launch().launcher);
    banner.threads = invocation.cores().threads;
    banner.binding = invocation.cores().binding;
    if (invocation.cores().widened) banner.binding += " (widened from one core)";
    log::info("{}", report::format_banner(banner));
}

}  // namespace terrane::app
