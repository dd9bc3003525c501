// Warden: a tiny process that kills PostgreSQL in time even if the agent is frozen.
//
// Forked early, it shares one page with the agent: the deadline. It sleeps until shortly before it
// and looks again; if the deadline still stands then, it kills every process of the instance: in a
// container, where the agent is PID 1, whatever there is (kill(-1) spares PID 1 and the caller);
// elsewhere all descendants of the agent. It dies with the agent, holds none of its descriptors,
// and allocates nothing, so that it can be forked anew (ended()) while other threads run. The
// agent's own lead is longer, so normally the warden has nothing to do. Main thread.
#pragma once

#include <sys/types.h>

#include "agent/ways.h"

namespace matriarch::agent {

class Warden final : public Guard {
  public:
    // Makes the page and the first process; process() is -1 if neither could be made.
    Warden();
    ~Warden() override;
    Warden(const Warden&) = delete;
    Warden& operator=(const Warden&) = delete;

    void dead_by(TimePoint deadline) override;
    pid_t process() const { return pid_; }
    // The process ended: it is forked again.
    void ended();

  private:
    struct Page;
    void make();

    Page* page_ = nullptr;
    int bell_ = -1;  // rung when the deadline comes nearer
    pid_t pid_ = -1;
};

}  // namespace matriarch::agent
