#include "nvml/library.hpp"

#include <dlfcn.h>

#include <array>
#include <utility>

namespace terrane::nvml {

namespace {

// NVML's own header comes with the CUDA toolkit, which builds without CUDA don't have; these few calls have
// kept their form since they exist.
using Device = void*;
struct Memory {
    unsigned long long total, free, used;
};
struct Utilisation {
    unsigned gpu, memory;
};

constexpr int success = 0;
constexpr int temperature_of_gpu = 0;
constexpr int clock_of_multiprocessors = 1, clock_of_memory = 2;
constexpr unsigned most_links = 18;

}  // namespace

struct Library::Functions {
    void* handle = nullptr;
    bool is_running = false;

    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    int (*driver_version)(char*, unsigned) = nullptr;
    int (*cuda_version)(int*) = nullptr;
    int (*count)(unsigned*) = nullptr;
    int (*by_index)(unsigned, Device*) = nullptr;
    int (*by_uuid)(const char*, Device*) = nullptr;
    int (*name)(Device, char*, unsigned) = nullptr;
    int (*uuid)(Device, char*, unsigned) = nullptr;
    int (*memory)(Device, Memory*) = nullptr;
    int (*utilisation)(Device, Utilisation*) = nullptr;
    int (*temperature)(Device, int, unsigned*) = nullptr;
    int (*power)(Device, unsigned*) = nullptr;
    int (*power_limit)(Device, unsigned*) = nullptr;
    int (*clock)(Device, int, unsigned*) = nullptr;
    int (*largest_clock)(Device, int, unsigned*) = nullptr;
    int (*pcie_generation)(Device, unsigned*) = nullptr;
    int (*pcie_width)(Device, unsigned*) = nullptr;
    int (*link_state)(Device, unsigned, int*) = nullptr;

    template <typename Function>
    void find(Function*& function, const char* symbol) {
        function = reinterpret_cast<Function*>(::dlsym(handle, symbol));
    }
    void find_all();
    ~Functions() {
        if (is_running && shutdown != nullptr) shutdown();
        if (handle != nullptr) ::dlclose(handle);
    }
};

void Library::Functions::find_all() {
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(driver_version, "nvmlSystemGetDriverVersion");
    find(cuda_version, "nvmlSystemGetCudaDriverVersion_v2");
    find(count, "nvmlDeviceGetCount_v2");
    find(by_index, "nvmlDeviceGetHandleByIndex_v2");
    find(by_uuid, "nvmlDeviceGetHandleByUUID");
    find(name, "nvmlDeviceGetName");
    find(uuid, "nvmlDeviceGetUUID");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(utilisation, "nvmlDeviceGetUtilizationRates");
    find(temperature, "nvmlDeviceGetTemperature");
    find(power, "nvmlDeviceGetPowerUsage");
    find(power_limit, "nvmlDeviceGetEnforcedPowerLimit");
    find(clock, "nvmlDeviceGetClockInfo");
    find(largest_clock, "nvmlDeviceGetMaxClockInfo");
    find(pcie_generation, "nvmlDeviceGetCurrPcieLinkGeneration");
    find(pcie_width, "nvmlDeviceGetCurrPcieLinkWidth");
    find(link_state, "nvmlDeviceGetNvLinkState");
}

namespace {

template <typename Function, typename... Arguments>
std::string ask_text(Function function, Arguments... arguments) {
    std::array<char, 128> text{};
    if (function == nullptr ||
        function(arguments..., text.data(), static_cast<unsigned>(text.size())) != success)
        return {};
    text.back() = '\0';
    return text.data();
}

std::optional<std::int64_t> whole(std::optional<unsigned> value) {
    return value ? std::optional<std::int64_t>(*value) : std::nullopt;
}
std::optional<double> watts(std::optional<unsigned> milliwatts) {
    return milliwatts ? std::optional<double>(*milliwatts / 1000.0) : std::nullopt;
}

std::optional<unsigned> ask_number(int (*function)(Device, unsigned*), Device device) {
    unsigned value = 0;
    if (function == nullptr || function(device, &value) != success) return std::nullopt;
    return value;
}
std::optional<unsigned> ask_number(int (*function)(Device, int, unsigned*), Device device, int kind) {
    unsigned value = 0;
    if (function == nullptr || function(device, kind, &value) != success) return std::nullopt;
    return value;
}

}  // namespace

Library::Library(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}
Library::~Library() = default;

std::unique_ptr<Library> Library::open(const std::string& file) {
    auto functions = std::make_unique<Functions>();
    functions->handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (functions->handle == nullptr) return nullptr;
    functions->find_all();
    if (functions->init == nullptr || functions->init() != success) return nullptr;
    functions->is_running = true;
    return std::unique_ptr<Library>(new Library(std::move(functions)));
}

std::string Library::driver() const {
    return ask_text(functions_->driver_version);
}

int Library::cuda_version() const {
    int version = 0;
    const bool told = functions_->cuda_version != nullptr && functions_->cuda_version(&version) == success;
    return told ? version : 0;
}

std::vector<Gpu> Library::gpus() const {
    const Functions& call = *functions_;
    std::vector<Gpu> all;
    unsigned count = 0;
    if (call.count == nullptr || call.by_index == nullptr || call.count(&count) != success) return all;
    for (unsigned index = 0; index < count; ++index) {
        Device device = nullptr;
        if (call.by_index(index, &device) != success) continue;
        Gpu gpu;
        gpu.index = static_cast<int>(index);
        gpu.name = ask_text(call.name, device);
        gpu.uuid = ask_text(call.uuid, device);
        Memory memory{};
        if (call.memory != nullptr && call.memory(device, &memory) == success)
            gpu.memory_bytes = memory.total;
        gpu.power_limit = watts(ask_number(call.power_limit, device));
        gpu.largest_clock = whole(ask_number(call.largest_clock, device, clock_of_multiprocessors));
        gpu.pcie_generation = whole(ask_number(call.pcie_generation, device));
        gpu.pcie_width = whole(ask_number(call.pcie_width, device));
        for (unsigned link = 0; call.link_state != nullptr && link < most_links; ++link) {
            int is_up = 0;
            if (call.link_state(device, link, &is_up) == success && is_up != 0) ++gpu.nvlinks;
        }
        all.push_back(std::move(gpu));
    }
    return all;
}

Reading Library::read(const std::string& uuid) const {
    const Functions& call = *functions_;
    Reading reading;
    Device device = nullptr;
    if (call.by_uuid == nullptr || call.by_uuid(uuid.c_str(), &device) != success) return reading;
    Memory memory{};
    if (call.memory != nullptr && call.memory(device, &memory) == success) reading.memory_used = memory.used;
    Utilisation utilisation{};
    if (call.utilisation != nullptr && call.utilisation(device, &utilisation) == success) {
        reading.busy = utilisation.gpu;
        reading.memory_busy = utilisation.memory;
    }
    reading.temperature = whole(ask_number(call.temperature, device, temperature_of_gpu));
    reading.power = watts(ask_number(call.power, device));
    reading.clock = whole(ask_number(call.clock, device, clock_of_multiprocessors));
    reading.memory_clock = whole(ask_number(call.clock, device, clock_of_memory));
    return reading;
}

}  // namespace terrane::nvml
