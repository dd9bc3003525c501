// Process: something that runs, may freeze, and dies. All that happens in it goes through `post`.
//
// Frozen, its calls wait for the thaw in their order; dead, they are dropped, so a closure that is
// posted may refer to what dies with the process.
#pragma once

#include <deque>
#include <memory>

#include "world.h"

namespace matriarch::sim {

class Process : public std::enable_shared_from_this<Process> {
  public:
    explicit Process(World& world) : world_(world) {}

    void post(Call call);
    void at(TimePoint when, Call call);
    void after(Duration wait, Call call) { at(world_.now() + wait, std::move(call)); }

    void freeze() { frozen_ = true; }
    void thaw();
    void kill();
    bool alive() const { return alive_; }
    bool frozen() const { return frozen_; }
    bool runs() const { return alive_ && !frozen_; }

  private:
    World& world_;
    bool alive_ = true, frozen_ = false;
    std::deque<Call> waiting_;
};

}  // namespace matriarch::sim
