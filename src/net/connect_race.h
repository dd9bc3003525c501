// ConnectRace: opens a TCP connection to one address, soon also where packets are lost. Internal to
// src/net.
//
// While no attempt is established another one begins, on a socket of its own. The first that is
// established is the connection; the others are closed. The first that is answered with an error
// (refused, unreachable) ends the race, since the others would get the same answer. A peer may see
// connections that end without a byte, when two attempts get through at once. Used on its loop's
// thread only. It has no time limit: its owner destroys it, and so ends it.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <memory>
#include <vector>

#include "net/channel.h"

namespace matriarch::net {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

class ConnectRace {
  public:
    // The connection, or null and the errno of connect(2). May destroy the race.
    using Done = std::function<void(std::unique_ptr<Channel> channel, int error)>;
    // The loop must outlive the race.
    ConnectRace(IoLoop& loop, const SocketAddress& to, Done done);
    ConnectRace(const ConnectRace&) = delete;
    ConnectRace& operator=(const ConnectRace&) = delete;

    // Once. 0, and `done` will be called once, later; or the errno, when the first attempt could
    // not even begin, and `done` will not be called.
    int start();

  private:
    int attempt();
    bool any_answered() const;
    void answered(const Channel& attempt);

    IoLoop& loop_;
    const SocketAddress to_;
    Done done_;
    IoTimer next_attempt_;
    std::vector<std::unique_ptr<Channel>> attempts_;
};

}  // namespace matriarch::net
