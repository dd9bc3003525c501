// Probe: looks at the local server, on a thread of its own, as long as one runs.
//
// A persistent walsender connection sampled every 150 ms (each few milliseconds while something is
// awaited). That is blind to a frozen postmaster: see vitals.h. Every wait has a deadline; results
// go to `deliver` as Probed events. Methods are safe from any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/instance.h"
#include "base/clock.h"

namespace matriarch::agent {

// Whether the postmaster takes connections, by the last line of its pid file (miscadmin.h,
// PM_STATUS_READY).
bool says_ready(const std::string& pid_file);

class Probe {
  public:
    using Deliver = std::function<void(Probed)>;
    // `pid_file` is the server's postmaster.pid.
    Probe(std::string socket_dir, int port, std::string pid_file, const Clock& clock,
          Deliver deliver);
    ~Probe();
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;

    void watch(std::uint64_t generation);  // a server was started
    void rest();                           // it is gone
    void pace(Pace pace);
    // Samples often for a moment: something was just asked of the server.
    void hurry();

  private:
    void run();
    Duration interval(TimePoint now, bool connected) const;

    const std::string socket_dir_;
    const int port_;
    const std::string pid_file_;
    const Clock& clock_;
    const Deliver deliver_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t generation_ = 0;  // 0: rest. All guarded by mutex_
    Pace pace_ = Pace::Normal;
    TimePoint hurry_until_;
    bool stop_ = false;
    bool poke_ = false;
    std::thread thread_;
};

}  // namespace matriarch::agent
