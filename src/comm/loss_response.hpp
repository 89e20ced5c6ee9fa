#pragma once

namespace terrane::comm {

/// What a rank does when another one is lost or a collective doesn't come to its end, in the numbers of
/// PyTorch's variable TORCH_NCCL_ASYNC_ERROR_HANDLING.
enum class LossResponse {
    none = 0,            ///< nothing: it waits; what the message layer itself reports is still an error
    abort_and_exit = 1,  ///< calls off its collectives and ends the process
    abort = 2,  ///< calls them off: the next one throws E0806, the rank's own work is unwound and ends
    exit = 3,   ///< ends the process as it stands
};

}  // namespace terrane::comm
