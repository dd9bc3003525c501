// Vitals: two things that a sampled connection is blind to: a frozen postmaster, and a stalled
// disk.
//
// Two threads of their own, since both looks may block: one knocks at the postmaster's socket, each
// second and twice as often while nobody answers, and looks whether it is stopped; one writes and
// syncs 4 KB on the volume each second while a master serves. The first tells `deliver` what
// changes; the second is read. Methods are safe from any thread. Thresholds are here, since both
// are about the same question: is this a failure or a busy machine?
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/instance.h"
#include "base/clock.h"

namespace matriarch::agent {

// A postmaster forks for each connection; with 2 cores at a load of 40 a knock took 0.3 s. Two
// failed ones in a row and half a second more leave 1.5 s for the rest of the 3 s budget.
inline constexpr Duration kFrozenIsNews = milliseconds(1500);
// Cloud disks pause for a second now and then; one that is stalled for longer holds up commits,
// and most clients give up after some seconds.
inline constexpr Duration kStallIsNews = milliseconds(1500);

class KnockWatch {
  public:
    using Deliver = std::function<void(Knocked)>;
    // `pid_file` is the server's postmaster.pid.
    KnockWatch(std::string socket, std::string pid_file, const Clock& clock, Deliver deliver);
    ~KnockWatch();
    KnockWatch(const KnockWatch&) = delete;
    KnockWatch& operator=(const KnockWatch&) = delete;

    void watch(std::uint64_t generation, pid_t postmaster);
    void rest();

  private:
    void run();
    bool silent(pid_t postmaster);

    const std::string socket_, pid_file_;
    const Clock& clock_;
    const Deliver deliver_;
    TimePoint knocked_;  // the thread's own, like unanswered_
    bool unanswered_ = false;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint64_t generation_ = 0;  // 0: rest. All guarded by mutex_
    pid_t postmaster_ = 0;
    bool stop_ = false;
    std::thread thread_;
};

class DiskWatch {
  public:
    DiskWatch(std::string path, const Clock& clock);
    // Waits for a write that is under way.
    ~DiskWatch();
    DiskWatch(const DiskWatch&) = delete;
    DiskWatch& operator=(const DiskWatch&) = delete;

    void watch(bool on);
    // Since when a write is under way.
    std::optional<TimePoint> busy_since() const;

  private:
    void run();
    void write_once();

    const std::string path_;
    const Clock& clock_;
    std::atomic<std::int64_t> busy_since_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    bool on_ = false, stop_ = false;  // guarded by mutex_
    std::thread thread_;
};

}  // namespace matriarch::agent
