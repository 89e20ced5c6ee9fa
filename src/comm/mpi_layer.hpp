#pragma once

#include <string>

#include "comm/launch.hpp"
#include "comm/mpi_communicator.hpp"
#include "comm/rendezvous.hpp"

namespace terrane::comm {

/// MPI's life in this process: begun here if nobody did before, ended by the destructor.
class MpiLayer {
  public:
    /// Throws Error 69: E0120 (MPI sees fewer ranks than the launcher promised).
    explicit MpiLayer(const Launch& launch);
    ~MpiLayer();
    MpiLayer(const MpiLayer&) = delete;
    MpiLayer& operator=(const MpiLayer&) = delete;

    MpiCommunicator& communicator() { return *communicator_; }
    /// Lets the ranks meet outside of MPI, too, at a place that rank 0 tells the others by MPI. Throws what
    /// receive_members() and join() throw.
    Party meet(Member self, std::chrono::duration<double> limit, const std::string& interface_filter);

    static std::string library();  ///< "Open MPI 4.1.4"

  private:
    /// MPI_Finalize, unless whoever began MPI does that.
    struct Session {
        Session();
        ~Session();
        Session(const Session&) = delete;
        Session& operator=(const Session&) = delete;
        bool begun_here = false;
    };
    Session session_;
    std::unique_ptr<MpiCommunicator> communicator_;
};

}  // namespace terrane::comm
