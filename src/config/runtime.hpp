#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// What belongs to one call of the program. One struct per TOML table, defaults included; see
/// config/config.hpp.
namespace terrane::config {

/// What the global command-line options set; not part of the run's identity.
struct Runtime {
    std::string out;
    bool overwrite = false;
    bool dry_run = false;
    std::int64_t threads = 0;  ///< per rank; 0: the rank's share of the node's cores
    std::int64_t ram = 0;      ///< MB per rank that predict and planning may use; 0: 80 % of the free share
    std::uint64_t seed = 0;
    std::string deterministic = "run";  ///< run: equal bits for equal rank and thread counts; ranks: for any
    std::string device = "auto";        ///< auto, cpu, cuda, ref
    std::vector<std::int64_t> gpu_ids;  ///< of a host, local rank n takes the n-th; empty: all in sight
    std::string device_sums = "auto";   ///< sums over ranks of device memory: auto (NCCL where it is), host
    bool share_device = false;          ///< ranks may use one GPU together
    std::string progress = "auto";      ///< auto, bar, line, none
    double collective_timeout = 1800;   ///< seconds
    double heartbeat_timeout = 30;      ///< seconds without a sign of life after which a rank is lost
    std::string launcher = "auto";      ///< auto, none, mpi, env, slurm; known before any file is read
    std::int64_t master_port = 0;       ///< where ranks without MPI meet; 0: MASTER_PORT or a default
    std::string dist_debug = "off";     ///< off, info, detail
    std::string dist_url;               ///< env://, tcp://HOST:PORT, file:///PATH, mpi://; empty: not given
    double max_time = 0;                ///< seconds; 0: no limit
    std::string log_level = "info";     ///< debug, info, warning
    std::string log_format = "text";    ///< text, json
};

}  // namespace terrane::config
