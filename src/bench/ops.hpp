#pragma once

#include <string>
#include <vector>

#include "bench/op_cases.hpp"
#include "device/backend.hpp"

namespace terrane::bench {

/// What this machine can do at most, measured by the same process between the cases.
struct Calibration {
    double flops_per_second = 0;  ///< a large square product in the compute type
    double bytes_per_second = 0;  ///< a copy: bytes read plus bytes written
};

struct OpTime {
    OpCase op_case;
    std::string implementation;
    double forward_seconds = 0;  ///< least of all repetitions
    double backward_seconds = 0;
    double pack_seconds = 0;  ///< weights into the plan's layout, once per step
    double forward_flops = 0;
    double backward_flops = 0;
    double forward_bytes = 0;  ///< compulsory traffic: every operand once
};

struct OpsResult {
    Calibration calibration;
    std::vector<OpTime> times;
    /// Count-weighted sums of forward, backward and packing: the floor under a step made of these ops alone.
    double floor_seconds() const;
};

/// Times every case on random inputs, `repetitions` times each, the calibration in turn with them.
OpsResult measure_ops(device::Backend& backend, const std::vector<OpCase>& cases, DType compute,
                      int repetitions);

std::string ops_json(const device::Backend& backend, const OpsResult& result, DType compute,
                     const std::string& command);

/// The same as a table for reading.
std::string ops_table(const OpsResult& result);

}  // namespace terrane::bench
