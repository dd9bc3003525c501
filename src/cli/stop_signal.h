// StopSignal: SIGTERM and SIGINT as a file descriptor, so that every wait can wait for them too.
//
// Make one at the start of main, before any thread: the signals are blocked from then on. As PID 1
// of a container a process gets no default action, so this is also what makes it stoppable.
#pragma once

#include <poll.h>

#include <vector>

#include "base/clock.h"

namespace matriarch::cli {

class StopSignal {
  public:
    StopSignal();
    ~StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;

    bool requested();

    // poll(2) on `sockets` until one is ready, `until` has come, or a stop is requested.
    void wait(const Clock& clock, TimePoint until, std::vector<pollfd>& sockets);
    void wait(const Clock& clock, TimePoint until);

  private:
    int fd_;
    bool requested_ = false;
};

}  // namespace matriarch::cli
