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
// Cloud disks pause for a second now and then; one that completes nothing for longer holds up
// commits, and most clients give up after some seconds.
inline constexpr Duration kStallIsNews = milliseconds(1500);
// A query's temporary files may fill a volume for a moment; they go when it fails.
inline constexpr Duration kFullIsNews = seconds(3);

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

// Of the block device that holds the folder, by the kernel's statistics.
std::optional<std::uint64_t> writes_completed(const std::string& folder);

class DiskWatch {
  public:
    // How many writes the volume's device has completed; absent where that is not known.
    using Completed = std::function<std::optional<std::uint64_t>()>;
    DiskWatch(std::string path, const Clock& clock, Completed completed);
    // Waits for a write that is under way.
    ~DiskWatch();
    DiskWatch(const DiskWatch&) = delete;
    DiskWatch& operator=(const DiskWatch&) = delete;

    void watch(bool on);
    // Since when a write waits while its device completes none. A busy disk is none that stalls: it
    // completes others' writes, and ours within kBusyAtMost.
    std::optional<TimePoint> stalled_since() const;

  private:
    void run();
    void write_once();

    const std::string path_;
    const Clock& clock_;
    const Completed completed_;
    mutable std::mutex mutex_;
    std::optional<TimePoint> busy_since_;          // guarded by mutex_, as all below
    mutable std::optional<std::uint64_t> writes_;  // that the device had completed ...
    mutable TimePoint progress_;                   // ... when that was first seen
    std::condition_variable changed_;
    bool on_ = false, stop_ = false;
    std::thread thread_;
};

}  // namespace matriarch::agent
