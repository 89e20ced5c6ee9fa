#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "app/backend_choice.hpp"
#include "app/gpu_watch.hpp"
#include "app/output.hpp"
#include "app/verb.hpp"
#include "base/file.hpp"
#include "bench/collective_time.hpp"
#include "comm/launch.hpp"
#include "cuda/backend.hpp"
#include "raster/gdal_library.hpp"
#include "tiles/hdf5_library.hpp"

namespace terrane::app {

namespace {

namespace fs = std::filesystem;

std::int64_t meminfo_mib(const std::string& name) {
    std::ifstream file("/proc/meminfo");
    std::string key;
    std::int64_t kib = 0;
    std::string unit;
    while (file >> key >> kib >> unit) {
        if (key == name + ":") return kib / 1024;
    }
    return 0;
}

// The memory limit of the control group in MiB, 0 if there is none.
std::int64_t memory_limit_mib() {
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
        std::ifstream file(path);
        std::int64_t bytes = 0;
        // Version 1 writes a huge number for "no limit".
        if (file >> bytes && bytes < (std::int64_t{1} << 60)) return bytes >> 20;
    }
    return 0;
}

std::string limit_text(int resource, std::int64_t unit, const char* unit_name) {
    struct rlimit limit {};
    if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0) return "unknown";
    if (limit.rlim_cur == RLIM_INFINITY) return "unlimited";
    return fmt::format("{}{}", static_cast<std::int64_t>(limit.rlim_cur) / unit, unit_name);
}

std::string describe_gpus() {
    const std::vector<std::string> lines = gpu_lines();
    if (lines.empty())
        return "gpu      none seen: libnvidia-ml.so.1, a part of NVIDIA's driver, can't be used\n";
    std::string text;
    for (const std::string& line : lines) text += "gpu      " + line + "\n";
    return text;
}

struct DiskSpeed {
    double write_mb_per_s = 0;  ///< including fsync
    double read_mb_per_s = 0;   ///< after the kernel was asked to drop the pages
};

class ScratchFile {
  public:
    explicit ScratchFile(fs::path path) : path_(std::move(path)) {}
    ~ScratchFile() {
        std::error_code ignored;
        fs::remove(path_, ignored);
    }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

DiskSpeed measure_disk(const fs::path& folder) {
    constexpr std::int64_t total = std::int64_t{256} << 20;
    const std::vector<std::byte> block(std::size_t{4} << 20, std::byte{0x5a});
    const ScratchFile scratch(folder / fmt::format(".terrane-doctor-{}", ::getpid()));
    const auto start = std::chrono::steady_clock::now();
    CheckedFile writer(scratch.path());
    for (std::int64_t done = 0; done < total; done += static_cast<std::int64_t>(block.size()))
        writer.write(block);
    writer.finish();
    const auto written = std::chrono::steady_clock::now();

    const int descriptor = ::open(scratch.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        throw Error(ExitCode::io_error, 901,
                    fmt::format("can't read back {}: {}.", scratch.path().string(), std::strerror(errno)));
    }
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    std::vector<std::byte> target(block.size());
    const auto read_start = std::chrono::steady_clock::now();
    std::int64_t read = 0;
    for (;;) {
        const ssize_t count = ::read(descriptor, target.data(), target.size());
        if (count <= 0) break;
        read += count;
    }
    const auto read_end = std::chrono::steady_clock::now();
    ::close(descriptor);
    const auto speed = [](std::int64_t bytes, auto time) {
        return static_cast<double>(bytes) / 1e6 / std::chrono::duration<double>(time).count();
    };
    return {speed(total, written - start), speed(read, read_end - read_start)};
}

// Not an error: a node that trains on a tile store needs none of it.
std::string describe_gdal() {
    const std::vector<std::string> missing = raster::missing_drivers();
    if (missing.empty()) return fmt::format("gdal     {}, all needed drivers\n", raster::gdal_version());
    return fmt::format(
        "gdal     {}, without {}: here terrane trains and evaluates on tile stores, but can't read all "
        "rasters or "
        "write maps (Debian's and Ubuntu's GDAL has all drivers; scripts/bundle.sh --gdal takes it along)\n",
        raster::gdal_version(), fmt::join(missing, ", "));
}

// What each rank knows about itself, sent to rank 0.
std::string describe_rank(const Invocation& invocation) {
    const comm::CoreShare& cores = invocation.cores();
    return fmt::format("  rank {:<4} local {:<3} {}  threads {}  binding {}{}", invocation.world().rank(),
                       invocation.world().local_rank(), invocation.world().host(), cores.threads,
                       cores.binding, cores.widened ? " (widened from one core)" : "");
}

// What the ranks compute on, and how fast NCCL sums between them. Collective.
std::string describe_device(const Invocation& invocation) {
    const config::Config& config = invocation.config();
    const int ranks = invocation.world().size();
    try {
        const DeviceChoice choice = agree_on_device(invocation, config.runtime);
        if (choice.device == "cuda") {
            const comm::World& world = invocation.world();
            const auto why_not = invocation.communicator().all_gather(cuda::why_unusable(world.local_rank()));
            const auto first =
                std::find_if(why_not.begin(), why_not.end(), [](const auto& one) { return !one.empty(); });
            if (first != why_not.end()) {
                const auto rank = static_cast<std::size_t>(first - why_not.begin());
                return fmt::format("device   none: {} asks for cuda, but rank {} on {} can't: {}\n",
                                   choice.why, rank, world.hosts()[rank], *first);
            }
        }
        std::string text = fmt::format("device   {} ({})\n", choice.device, choice.why);
        if (ranks == 1 || choice.device != "cuda") return text;
        const ChosenBackend backend = open_backend(invocation, config.runtime, choice);
        const DeviceSums sums(invocation, config, *backend);
        if (sums.get() == nullptr) return text + "nccl     not used: sums go by way of the host\n";
        constexpr std::size_t largest = std::size_t{64} << 20;
        const auto rows =
            bench::measure_queued_sums(*backend, *sums.get(), invocation.communicator(), largest, 20);
        return text + fmt::format(
                          "nccl     {:.1f} GB/s bus bandwidth, sums of {} MiB over {} ranks; {:.0f} us "
                          "for {} bytes\n",
                          1e-9 * rows.back().bus_bandwidth(ranks), rows.back().bytes >> 20, ranks,
                          1e6 * rows.front().seconds, rows.front().bytes);
    } catch (const Error& error) {
        // Doctor goes on where all ranks come here: what is wrong is what it is asked for.
        if (error.number() != 716 && error.number() != 717 && error.number() != 719) throw;
        return fmt::format("device   none: {}\n", error.message());
    }
}

ExitCode run_doctor(Invocation& invocation) {
    const comm::World& world = invocation.world();
    const std::string device = describe_device(invocation);
    const std::vector<std::string> ranks = invocation.communicator().gather(describe_rank(invocation), 0);
    if (world.rank() != 0) return ExitCode::done;

    std::string text = fmt::format("terrane {}\n", version());
    text += fmt::format("launch   {}, {} ranks on {} hosts, {}{} (by {})\n",
                        comm::describe(world.launch().launcher), world.size(), world.nodes(), world.library(),
                        world.master().empty() ? "" : ", master " + world.master(), world.launch().source);
    for (const std::string& rank : ranks) text += rank + "\n";
    text += fmt::format("cores    {} usable on {}\n", invocation.cores().cores_of_host, world.host());
    const std::int64_t limit = memory_limit_mib();
    text += fmt::format("memory   {} MiB, {} MiB available{}\n", meminfo_mib("MemTotal"),
                        meminfo_mib("MemAvailable"),
                        limit > 0 ? fmt::format(", limited to {} MiB by the control group", limit) : "");
    text +=
        fmt::format("limits   locked memory {}, stack {}, open files {}, core files {}\n",
                    limit_text(RLIMIT_MEMLOCK, 1 << 20, " MiB"), limit_text(RLIMIT_STACK, 1 << 20, " MiB"),
                    limit_text(RLIMIT_NOFILE, 1, ""), limit_text(RLIMIT_CORE, 1 << 20, " MiB"));
    text += describe_gdal();
    text += fmt::format("hdf5     {}\n", tiles::hdf5_version());
    text += describe_gpus();
    text += device;

    const std::string out = invocation.config().runtime.out;
    const fs::path folder = out.empty() ? fs::path(".") : fs::path(out);
    if (!fs::is_directory(folder)) {
        throw Error(ExitCode::cannot_create, 901, fmt::format("{} is no folder.", folder.string()),
                    "Name an existing folder with -o to measure its file system.");
    }
    const DiskSpeed speed = measure_disk(folder);
    text += fmt::format("disk     {}: write {:.0f} MB/s (with fsync), read {:.0f} MB/s, {} MiB free\n",
                        fs::absolute(folder).lexically_normal().string(), speed.write_mb_per_s,
                        speed.read_mb_per_s, fs::space(folder).available >> 20);
    print_text(text);
    return ExitCode::done;
}

}  // namespace

extern const Verb doctor_verb{"doctor",   "show launcher, cores, memory, libraries, disk speed and limits",
                              Ranks::all, ConfigNeed::none,
                              "",         {},
                              run_doctor};

}  // namespace terrane::app
