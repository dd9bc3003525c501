// WorkQueue: keys that need a reconcile, with client-go's guarantees and priorities.
//
// A key is never with two workers at once; any number of adds while it waits are one run; an add
// while it runs gives exactly one more run after done(). Higher priorities come first, equal ones
// in the order of arrival. WorkQueueCore is passive and not thread-safe; WorkQueue adds the lock
// and a blocking get(). See client-go util/workqueue and controller-runtime's priorityqueue.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/clock.h"
#include "kube/waiter.h"

namespace matriarch::kube {

using Priority = int;
inline constexpr Priority kStartUp = -100;  // the first list and resyncs: behind whatever is live
inline constexpr Priority kNormal = 0;
inline constexpr Priority kUrgent = 100;  // somebody may have failed

struct QueueTuning {
    // Delay of the n-th failure in a row: first·2^n, at most cap. client-go caps at 1000 s; a
    // cluster in trouble must not wait 16 minutes.
    Duration backoff_first = std::chrono::milliseconds(5);
    Duration backoff_cap = std::chrono::seconds(30);
    // Over all keys. client-go's 10/s after 100 would make a mass failure of 1,000 keys wait 90 s.
    double rate = 100;
    int burst = 1000;
};

class WorkQueueCore {
  public:
    explicit WorkQueueCore(QueueTuning tuning = {}) : tuning_(tuning), tokens_(tuning.burst) {}

    void add(const std::string& key, Priority priority, TimePoint now);
    // An earlier wake-up that is already set stays; a later one is replaced.
    void add_after(const std::string& key, Duration delay, Priority priority, TimePoint now);
    // After a failure: max(backoff of this key, token bucket).
    Duration add_rate_limited(const std::string& key, Priority priority, TimePoint now);
    // The key succeeded, or is not wanted any more: its backoff starts again.
    void forget(const std::string& key) { failures_.erase(key); }

    // The next key; its worker must call done(). Moves what has become due first.
    std::optional<std::string> take(TimePoint now);
    void done(const std::string& key);

    // When take() may have something that it has not now; max() if only add() can bring it.
    TimePoint next_due() const;

    // No adds any more; take() gives what is queued (what is only delayed is dropped).
    void shut_down();
    bool shutting_down() const { return shutting_down_; }
    // Nothing queued and nothing with a worker.
    bool idle() const { return order_.empty() && processing_.empty(); }
    std::size_t depth() const { return order_.size(); }
    std::size_t processing() const { return processing_.size(); }
    int failures(const std::string& key) const;
    // The longest time that a key now in the queue has waited.
    Duration oldest(TimePoint now) const;

  private:
    struct Place {
        Priority priority;
        std::uint64_t sequence;
        // Higher priority first, then older.
        friend bool operator<(const Place& a, const Place& b) {
            return a.priority != b.priority ? a.priority > b.priority : a.sequence < b.sequence;
        }
    };
    struct Dirty {
        Place place;
        TimePoint since;
    };
    struct Delayed {
        TimePoint at;
        Priority priority;
    };

    void move_due(TimePoint now);
    void push(const std::string& key, const Dirty& dirty) { order_.emplace(dirty.place, key); }

    const QueueTuning tuning_;
    std::map<Place, std::string> order_;            // dirty and not processing
    std::unordered_map<std::string, Dirty> dirty_;  // needs a run
    std::unordered_set<std::string> processing_;    // with a worker
    std::unordered_map<std::string, Delayed> delayed_;
    std::set<std::pair<TimePoint, std::string>> delayed_order_;
    std::unordered_map<std::string, int> failures_;
    std::uint64_t sequence_ = 0;
    bool shutting_down_ = false;
    double tokens_;  // negative: reserved by those who wait
    TimePoint tokens_at_{};
};

// Thread-safe. Priorities default to kNormal.
class WorkQueue {
  public:
    WorkQueue(const Clock& clock, Waiter& waiter, QueueTuning tuning = {})
        : clock_(clock), waiter_(waiter), core_(tuning) {}

    void add(const std::string& key, Priority priority = kNormal);
    void add_after(const std::string& key, Duration delay, Priority priority = kNormal);
    void add_rate_limited(const std::string& key, Priority priority = kNormal);
    void forget(const std::string& key);

    // Blocks until there is a key. Empty: stopped, or shut down and drained.
    std::optional<std::string> get(std::stop_token stop);
    void done(const std::string& key);

    void shut_down();
    // After shut_down(): true once every key is done, false when the deadline passed.
    bool drain(Deadline deadline, std::stop_token stop);

    std::size_t depth() const;
    int failures(const std::string& key) const;

    // Counters for metrics (controller-runtime's workqueue_*).
    struct Stats {
        std::uint64_t adds = 0;
        std::uint64_t retries = 0;
        std::size_t depth = 0;
        std::size_t processing = 0;
        Duration oldest{};
    };
    Stats stats() const;

  private:
    const Clock& clock_;
    Waiter& waiter_;
    mutable std::mutex mutex_;
    WorkQueueCore core_;  // guarded by mutex_, like all below
    std::uint64_t adds_ = 0;
    std::uint64_t retries_ = 0;
};

// Calls done() when the scope ends, also by an exception: a key that is not given back is lost.
class WorkItem {
  public:
    WorkItem(WorkQueue& queue, std::string key) : queue_(queue), key_(std::move(key)) {}
    ~WorkItem() { queue_.done(key_); }
    WorkItem(const WorkItem&) = delete;
    WorkItem& operator=(const WorkItem&) = delete;
    const std::string& key() const { return key_; }

  private:
    WorkQueue& queue_;
    std::string key_;
};

}  // namespace matriarch::kube
