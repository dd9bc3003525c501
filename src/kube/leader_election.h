// Leader election through a Lease: at most one leader, counted conservatively on both sides.
//
// The leader counts its validity from before it sent the renewal, the standby counts the holder's
// whole lease from when it saw the last change, both on CLOCK_BOOTTIME; stamps of the record are
// never compared with a clock. The standby watches the Lease, so a release is seen at once and a
// crash after one lease. A Lease does not fence: check leadership() before each disruptive write
// and put the term into its compare-and-swap.
//
// ElectionMachine is pure; LeaderElection runs it. A lost answer, or a Conflict that our own
// re-sent request may have caused, is settled by reading back: our holder and the renewTime that we
// sent mean success.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "kube/client.h"
#include "kube/objects.h"
#include "kube/waiter.h"
#include "kube/watcher.h"

namespace matriarch::kube {

struct ElectionOptions {
    ObjectKey lease = {};
    std::string identity = {};  // make_identity()
    std::chrono::seconds lease_duration{6};
    Duration retry_period = std::chrono::seconds(1);
    // How long renewals may fail. Leadership ends retry_period + renew_deadline after the last
    // renewal was sent, which must leave a tenth of the lease for clocks that differ.
    Duration renew_deadline = std::chrono::seconds(4);
    // A standby waits up to this much longer, so that not all write at once.
    Duration jitter = std::chrono::milliseconds(200);
    StringMap labels = {};
    bool release_on_stop = true;

    // The time that a renewal gives, from its sending.
    Duration validity() const { return retry_period + renew_deadline; }
    Status check() const;
};

// "hostname_<16 hex digits>": new for each process, since a restarted one is not the same leader.
std::string make_identity(Random& random);

struct Leadership {
    bool leading = false;
    std::uint64_t term = 0;   // leaseTransitions + 1; rises with every change of leader
    TimePoint valid_until{};  // meaningful only if leading
    std::string holder;       // the last one seen, also if it is another

    bool valid(TimePoint now) const { return leading && now < valid_until; }
};

class ElectionMachine {
  public:
    enum class Do { Wait, Read, Create, Update };
    struct Action {
        Do what = Do::Wait;
        Lease write = {};        // Create, Update
        TimePoint wait_until{};  // Wait
    };

    ElectionMachine(ElectionOptions options, Random& random)
        : options_(std::move(options)), random_(random) {}

    Action next(TimePoint now, WallTime wall);

    // What the watch showed, and when it was received; it may be behind.
    void observed(const Lease& lease, TimePoint now);
    // What the API answered to Do::Read: the truth, even if its version is lower than one that we
    // knew when we asked. Then the API was restored from a backup.
    void read(const Lease& lease, TimePoint now);
    // There is no Lease, as of this version of the collection (empty: now).
    void absent(const std::string& resource_version, TimePoint now);
    void read_failed(TimePoint now);
    // The answer to a Create or Update that was sent at `sent`.
    void written(const Lease& answer, TimePoint sent);
    void write_failed(const Error& error, const Lease& attempt, TimePoint sent, TimePoint now);

    Leadership leadership(TimePoint now) const;
    bool is_known() const { return known_; }

    // The term will be at least this after the next renewal: for a Lease that somebody deleted
    // while records and agents remember higher terms.
    void raise_term(std::uint64_t at_least);

    // The Lease that gives leadership up; empty if we don't hold it.
    std::optional<Lease> release(WallTime wall) const;
    void released();

  private:
    bool mine(const Lease& lease) const { return lease.holder == options_.identity; }
    Lease renewal(WallTime wall) const;
    void accept(const Lease& lease, TimePoint sent);

    const ElectionOptions options_;
    Random& random_;
    bool known_ = false;           // a read has shown whether there is a Lease
    std::optional<Lease> record_;  // the newest version seen
    TimePoint expires_{};          // when a standby may take over
    TimePoint next_try_{};
    TimePoint valid_until_{};  // of our own leadership
    bool leading_ = false;
    std::int64_t min_transitions_ = 0;
    // A write whose fate is not known: read back before the next one.
    std::optional<Lease> in_doubt_;
    int doubts_ = 0;     // in a row
    std::string asked_;  // the version that was known when the last read began
    TimePoint in_doubt_sent_{};
};

class LeaderElection {
  public:
    // Called by run() when leadership begins or ends.
    using OnChange = std::function<void(const Leadership&)>;
    using OnError = std::function<void(const Error&)>;

    LeaderElection(Client& client, const Clock& clock, Random& random, Waiter& waiter,
                   ElectionOptions options, OnChange on_change = {}, OnError on_error = {});

    // Campaigns and renews until stopped; then releases, if so configured: stop it last, when
    // nothing writes any more. Blocks.
    void run(std::stop_token stop);
    // Watches the Lease for run(); a thread of its own, which may be missing: then the standby
    // polls once a lease.
    void watch(std::stop_token stop, Waiter& waiter);

    // Any thread; takes the time into account, so it turns false by itself.
    Leadership leadership() const;
    void raise_term(std::uint64_t at_least);

    // For a liveness probe: false if we are the leader by the record and run() has not managed to
    // notice for `grace` that validity ended (a stuck thread).
    bool healthy(Duration grace) const;

  private:
    class LeaseSink;
    void act(const ElectionMachine::Action& action, std::stop_token stop);
    void release();
    void tell();
    void report(const Error& error) const;

    Client& client_;
    const Clock& clock_;
    Random& random_;
    Waiter& waiter_;
    const ElectionOptions options_;
    const OnChange on_change_;
    const OnError on_error_;
    mutable std::mutex mutex_;
    ElectionMachine machine_;    // guarded by mutex_
    TimePoint last_turn_{};      // guarded by mutex_
    bool told_leading_ = false;  // guarded by mutex_
    std::uint64_t told_term_ = 0;
};

}  // namespace matriarch::kube
