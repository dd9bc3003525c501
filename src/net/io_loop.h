// IoLoop: one thread that waits for sockets and timers and runs short tasks. Internal to src/net.
//
// It wraps the reactor of Boost.Asio, so that only io_loop.cc includes it. Sockets and timers
// belong to one loop and are used on its thread only; post() is safe from any thread. Tasks must
// not block.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"

namespace matriarch::net {

class IoLoop {
  public:
    IoLoop();
    // stop().
    ~IoLoop();
    IoLoop(const IoLoop&) = delete;
    IoLoop& operator=(const IoLoop&) = delete;

    void start();
    // Runs `task` on the loop's thread, later. Dropped if the loop has stopped.
    void post(std::function<void()> task);
    // Lets the running task end, then joins; what is still queued is dropped. Not from the loop.
    void stop();
    bool on_thread() const;

    struct Impl;
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

// A file descriptor that the loop watches. Owns it.
class IoSocket {
  public:
    IoSocket(IoLoop& loop, int fd);
    // close().
    ~IoSocket();
    IoSocket(const IoSocket&) = delete;
    IoSocket& operator=(const IoSocket&) = delete;

    int fd() const;
    // At most one wait for each of both directions. After close() the calls are not made.
    void wait_readable(std::function<void()> call);
    void wait_writable(std::function<void()> call);
    void close();
    bool closed() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Calls once after a while. Restarting or cancelling it makes the former call void, even one that
// is due already.
class IoTimer {
  public:
    explicit IoTimer(IoLoop& loop);
    ~IoTimer();
    IoTimer(const IoTimer&) = delete;
    IoTimer& operator=(const IoTimer&) = delete;

    void start(Duration wait, std::function<void()> call);
    void cancel();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace matriarch::net
