// What limits on memory leave to a rank, read from files as the kernel writes them.
#include "app/memory_budget.hpp"

#include "base/file.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace terrane;

namespace {

constexpr std::size_t unlimited = ~std::size_t{0};

struct Kernel {
    test::TemporaryFolder folder;
    std::filesystem::path proc = folder.path() / "proc", groups = folder.path() / "cgroup";

    explicit Kernel(const std::string& membership) {
        create_folders(proc / "self");
        create_folders(groups);
        write_file_atomically(proc / "self" / "cgroup", membership);
    }
    void write(const std::string& group, const std::string& name, const std::string& content) {
        create_folders(groups / group);
        write_file_atomically(groups / group / name, content);
    }
    std::size_t available() const { return app::available_in_groups(proc, groups); }
};

}  // namespace

TEST_CASE("a job's control group counts, and those above it, with their file cache as free", "[app]") {
    Kernel kernel("0::/slurm/job_7/step_0\n");
    CHECK(kernel.available() == unlimited);
    kernel.write("slurm/job_7/step_0", "memory.max", "max\n");
    kernel.write("slurm/job_7/step_0", "memory.current", "700\n");
    CHECK(kernel.available() == unlimited);
    kernel.write("slurm/job_7", "memory.max", "1000\n");
    kernel.write("slurm/job_7", "memory.current", "900\n");
    CHECK(kernel.available() == 100);
    kernel.write("slurm/job_7", "memory.stat", "anon 300\nfile 600\ninactive_file 500\nactive_file 100\n");
    CHECK(kernel.available() == 600);
    kernel.write("slurm", "memory.max", "5000\n");
    kernel.write("slurm", "memory.current", "4950\n");
    CHECK(kernel.available() == 50);
    kernel.write("slurm", "memory.current", "6000\n");
    CHECK(kernel.available() == 0);
}

TEST_CASE("control groups of the first version count by their own controller", "[app]") {
    Kernel kernel("9:name=systemd:/other\n5:cpu,cpuacct:/other\n4:memory:/job\n0::/other\n");
    kernel.write("memory/job", "memory.limit_in_bytes", "2000\n");
    kernel.write("memory/job", "memory.usage_in_bytes", "800\n");
    kernel.write("memory/job", "memory.stat",
                 "cache 400\nrss 400\ninactive_file 1\ntotal_inactive_file 300\n");
    kernel.write("memory/other", "memory.limit_in_bytes", "10\n");
    kernel.write("memory/other", "memory.usage_in_bytes", "10\n");
    kernel.write("memory", "memory.limit_in_bytes", "9223372036854771712\n");
    kernel.write("memory", "memory.usage_in_bytes", "5000\n");
    CHECK(kernel.available() == 1500);
}

TEST_CASE("a group whose path begins above what a container shows has the container's limit", "[app]") {
    Kernel kernel("0::/../../outside/container_1\n");
    kernel.write("", "memory.max", "4000\n");
    kernel.write("", "memory.current", "1000\n");
    CHECK(kernel.available() == 3000);
}
