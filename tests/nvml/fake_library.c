/* Two GPUs as NVML would describe them; the second refuses what consumer cards refuse, and has no links. */
#include <string.h>

static int devices[2];
static int running = 0;

static int is_first(void* device) { return device == &devices[0]; }
static int write_text(char* text, unsigned length, const char* value) {
    if (strlen(value) + 1 > length) return 7;
    strcpy(text, value);
    return 0;
}

int nvmlInit_v2(void) { running = 1; return 0; }
int nvmlShutdown(void) { running = 0; return 0; }
int nvmlSystemGetDriverVersion(char* text, unsigned length) {
    return running ? write_text(text, length, "580.65.06") : 1;
}
int nvmlSystemGetCudaDriverVersion_v2(int* version) { *version = 13000; return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) { *count = 2; return running ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
    if (index > 1) return 2;
    *device = &devices[index];
    return 0;
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
    if (strcmp(uuid, "GPU-first") != 0 && strcmp(uuid, "GPU-second") != 0) return 6;
    *device = &devices[strcmp(uuid, "GPU-first") == 0 ? 0 : 1];
    return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned length) {
    return write_text(text, length, is_first(device) ? "NVIDIA H100 80GB HBM3" : "NVIDIA small");
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned length) {
    return write_text(text, length, is_first(device) ? "GPU-first" : "GPU-second");
}
struct memory { unsigned long long total, free, used; };
int nvmlDeviceGetMemoryInfo(void* device, struct memory* memory) {
    memory->total = (is_first(device) ? 80ull : 8ull) << 30;
    memory->used = (is_first(device) ? 41ull : 1ull) << 30;
    memory->free = memory->total - memory->used;
    return 0;
}
struct utilisation { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(void* device, struct utilisation* rates) {
    rates->gpu = is_first(device) ? 87 : 3;
    rates->memory = 40;
    return 0;
}
int nvmlDeviceGetTemperature(void* device, int sensor, unsigned* celsius) {
    *celsius = 61;
    return sensor == 0 && is_first(device) ? 0 : 3;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
    *milliwatts = 640400;
    return is_first(device) ? 0 : 3;
}
int nvmlDeviceGetEnforcedPowerLimit(void* device, unsigned* milliwatts) {
    *milliwatts = 700000;
    return is_first(device) ? 0 : 3;
}
int nvmlDeviceGetClockInfo(void* device, int kind, unsigned* megahertz) {
    (void)device;
    *megahertz = kind == 1 ? 1755 : 2619;
    return 0;
}
int nvmlDeviceGetMaxClockInfo(void* device, int kind, unsigned* megahertz) {
    *megahertz = 1980;
    return kind == 1 && is_first(device) ? 0 : 3;
}
int nvmlDeviceGetCurrPcieLinkGeneration(void* device, unsigned* generation) { (void)device; *generation = 5; return 0; }
int nvmlDeviceGetCurrPcieLinkWidth(void* device, unsigned* width) { *width = is_first(device) ? 16 : 4; return 0; }
int nvmlDeviceGetNvLinkState(void* device, unsigned link, int* is_up) {
    *is_up = link < 18;
    return is_first(device) ? 0 : 3;
}
