// Loop: the main thread's wait for signals, posted work and time, with one epoll.
//
// Every event of the agent becomes a function run here, one after another: that is what lets Agent
// own its state without a lock. post() is safe from any thread and never blocks; everything else
// belongs to the thread that calls run(). The constructor blocks the signals that it handles, so it
// must come before any other thread.
#pragma once

#include <signal.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace matriarch::agent {

class Loop {
  public:
    explicit Loop(const Clock& clock);
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void post(std::function<void()> work);
    void on_signal(int signal, std::function<void()> call);
    // Called after each round of events; says when it wants to be called at the latest.
    void on_idle(std::function<TimePoint()> call) { idle_ = std::move(call); }
    // `call` once, at `at` or a little later.
    void at(TimePoint at, std::function<void()> call);
    void run();
    void stop() { stop_ = true; }

    // When run() last went round: liveness asks it from other threads.
    TimePoint last_round() const { return TimePoint(Duration(last_round_.load())); }

  private:
    void watch_signals();
    bool run_posted();
    void run_timers();

    const Clock& clock_;
    int epoll_ = -1, wake_ = -1, signals_ = -1;
    sigset_t mask_{};
    bool stop_ = false;
    std::map<int, std::function<void()>> on_signal_;
    std::multimap<TimePoint, std::function<void()>> timers_;
    std::function<TimePoint()> idle_;
    std::atomic<std::int64_t> last_round_{0};
    std::mutex mutex_;
    std::vector<std::function<void()>> posted_;  // guarded by mutex_
};

}  // namespace matriarch::agent
