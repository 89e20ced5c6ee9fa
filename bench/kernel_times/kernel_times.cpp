// Time on the GPU by kernel, of any program, without changing it: a library that CUDA loads into the process.
//
//   CUDA_INJECTION64_PATH=.../libkernel_times.so TERRANE_KERNEL_TIMES=times.json terrane bench step --device
//   cuda ...
//
// When the process ends, TERRANE_KERNEL_TIMES is written: per kernel and whether it ran as part of a replayed
// graph, how often it ran, and its shortest, mean and summed time in microseconds.
// bench/kernel_times/table.py shows it by share. CUPTI costs time between kernels, little within them: the
// sum of times is to be believed, not the wall clock.
#include <cupti.h>
#include <cxxabi.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace {

constexpr std::size_t buffer_bytes = std::size_t{4} << 20;

struct Times {
    std::uint64_t count = 0, sum = 0, least = ~std::uint64_t{0};
    int grid[3] = {}, block = 0, registers = 0, local_bytes = 0, shared_bytes = 0;
};

struct Key {
    std::string name;
    bool replayed;
    auto operator<=>(const Key&) const = default;
};

std::mutex guard;
std::map<Key, Times> all;

void add(const CUpti_ActivityKernel10& kernel) {
    const std::lock_guard lock(guard);
    Times& times = all[{kernel.name == nullptr ? "?" : kernel.name, kernel.graphId != 0}];
    const std::uint64_t taken = kernel.end - kernel.start;
    ++times.count;
    times.sum += taken;
    if (taken < times.least) {
        times.least = taken;
    }
    // What the longest launch looked like is what explains the sum; launches of a kernel mostly look alike.
    if (kernel.gridX * kernel.gridY * kernel.gridZ >= times.grid[0] * times.grid[1] * times.grid[2]) {
        times.grid[0] = kernel.gridX, times.grid[1] = kernel.gridY, times.grid[2] = kernel.gridZ;
        times.block = kernel.blockX * kernel.blockY * kernel.blockZ;
    }
    times.registers = kernel.registersPerThread;
    times.local_bytes = static_cast<int>(kernel.localMemoryPerThread);
    times.shared_bytes = kernel.staticSharedMemory + kernel.dynamicSharedMemory;
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records) {
    *bytes = buffer_bytes;
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, buffer_bytes));
    *most_records = 0;
}

std::string demangled(const std::string& name) {
    int status = 0;
    const std::unique_ptr<char, void (*)(void*)> text(
        abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
    return status == 0 ? text.get() : name;
}

std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char letter : text) {
        if (letter == '"' || letter == '\\') result += '\\';
        if (static_cast<unsigned char>(letter) >= 0x20) result += letter;
    }
    return result + '"';
}

/// What is known so far; every few seconds, so that a process that is killed leaves something, and at the
/// end.
void write_times() {
    const char* path = std::getenv("TERRANE_KERNEL_TIMES");
    const std::string part = path == nullptr ? "" : std::string(path) + ".part";
    std::FILE* file = path == nullptr ? stderr : std::fopen(part.c_str(), "w");
    if (file == nullptr) {
        std::fprintf(stderr, "kernel_times: %s can't be written\n", part.c_str());
        return;
    }
    const std::lock_guard lock(guard);
    std::fputs("{\"kernels\": [", file);
    const char* comma = "";
    for (const auto& [key, times] : all) {
        std::fprintf(
            file,
            "%s\n {\"name\": %s, \"replayed\": %s, \"count\": %llu, \"sum_us\": %.3f, \"least_us\": %.3f, "
            "\"grid\": [%d, %d, %d], \"block\": %d, \"registers\": %d, \"local_bytes\": %d, "
            "\"shared_bytes\": %d}",
            comma, quoted(demangled(key.name)).c_str(), key.replayed ? "true" : "false",
            static_cast<unsigned long long>(times.count), 1e-3 * static_cast<double>(times.sum),
            1e-3 * static_cast<double>(times.least), times.grid[0], times.grid[1], times.grid[2], times.block,
            times.registers, times.local_bytes, times.shared_bytes);
        comma = ",";
    }
    std::fputs("\n]}\n", file);
    if (file != stderr && (std::fclose(file) != 0 || std::rename(part.c_str(), path) != 0)) {
        std::fprintf(stderr, "kernel_times: %s can't be written\n", path);
    }
}

void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
        if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
            add(*reinterpret_cast<const CUpti_ActivityKernel10*>(record));
        }
    }
    std::free(buffer);
    static auto written = std::chrono::steady_clock::now();
    if (std::getenv("TERRANE_KERNEL_TIMES") != nullptr &&
        std::chrono::steady_clock::now() - written > std::chrono::seconds(3)) {
        written = std::chrono::steady_clock::now();
        write_times();
    }
}

void finish() {
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    write_times();
}

}  // namespace

/// What CUDA calls when it has loaded the library; 1: succeeded.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
    if (cuptiActivityRegisterCallbacks(give_buffer, take_buffer) != CUPTI_SUCCESS ||
        cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) {
        std::fputs("kernel_times: CUPTI can't record kernels here\n", stderr);
        return 0;
    }
    cuptiActivityFlushPeriod(1000);  // milliseconds
    std::atexit(finish);
    return 1;
}
