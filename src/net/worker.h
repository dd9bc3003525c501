// Worker: a thread for calls that may block on a disk. Internal to src/net.
//
// Started by its first task, so a process that never streams files has no such thread. Tasks run
// one after the other. Safe from any thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace matriarch::net {

class Worker {
  public:
    ~Worker() { stop(); }
    // Dropped after stop().
    void post(std::function<void()> task);
    // Waits for the running task; drops the rest.
    void stop();

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    std::thread thread_;
    bool stopped_ = false;
};

}  // namespace matriarch::net
