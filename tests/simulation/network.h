// Network: hosts, and whether and how fast a message gets from one to another.
//
// Directed: a path may be cut one way. What meets a cut, or bad luck in a lossy period, is sent
// again as TCP does it, so it may arrive long after its sender has given it up; or it is lost, and
// nobody is told.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "world.h"

namespace matriarch::sim {

using HostId = int;

struct Host {
    std::string name;
    std::unique_ptr<HostClock> clock;
    bool on = true;
};

class Network {
  public:
    explicit Network(World& world) : world_(world) {}

    // `odd`: its clock's rate is beyond the limit.
    HostId add(std::string name, bool odd = false);
    Host& host(HostId id) { return hosts_[static_cast<std::size_t>(id)]; }
    const Host& host(HostId id) const { return hosts_[static_cast<std::size_t>(id)]; }
    std::size_t size() const { return hosts_.size(); }

    void send(HostId from, HostId to, Call call);
    bool open(HostId from, HostId to) const;
    bool open_both(HostId a, HostId b) const { return open(a, b) && open(b, a); }
    Duration delay();

    void cut(HostId from, HostId to) { cuts_.insert({from, to}); }
    void heal() { cuts_.clear(); }
    void heal(HostId from, HostId to);
    void slow(Duration most) { slowest_ = most; }
    void lose(int percent) { loss_ = percent; }
    void repeat(int percent) { repeated_ = percent; }
    // Perhaps what was sent arrives once more, seconds later.
    bool repeats() const { return repeated_ > 0; }
    void perhaps_again(HostId to, Call call);

  private:
    void try_to_send(HostId from, HostId to, Call call, int attempt);

    World& world_;
    std::vector<Host> hosts_;
    std::multiset<std::pair<HostId, HostId>> cuts_;
    Duration slowest_ = milliseconds(2);
    int loss_ = 0, repeated_ = 0;
};

}  // namespace matriarch::sim
