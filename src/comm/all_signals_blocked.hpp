#pragma once

#include <pthread.h>
#include <signal.h>

namespace terrane::comm {

/// While it lives, this thread takes no signal, nor will the threads that are started meanwhile: signals are
/// for those that were there before, and a write to a connection that is gone must fail rather than kill.
class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~AllSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    sigset_t before_{};
};

}  // namespace terrane::comm
