// EventRecorder: events.k8s.io/v1 events for people, never in the way.
//
// record() puts into a bounded queue and returns; run() sends, in a thread or fiber of its own.
// Repetitions become a series: the second one patches the event, later ones are counted and written
// at most every 30 s; after 6 minutes of silence a new event begins. What can't be delivered is
// dropped and counted: events are no audit trail (etcd keeps them one hour).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <tuple>

#include "base/clock.h"
#include "base/random.h"
#include "kube/client.h"
#include "kube/resource.h"
#include "kube/waiter.h"

namespace matriarch::kube {

enum class EventType { Normal, Warning };

struct ObjectReference {
    std::string api_version;
    std::string kind;
    std::string ns;
    std::string name;
    std::string uid;

    friend auto operator<=>(const ObjectReference&, const ObjectReference&) = default;
    friend bool operator==(const ObjectReference&, const ObjectReference&) = default;
};

struct Event {
    ObjectReference regarding = {};
    EventType type = EventType::Normal;
    std::string reason = {};  // UpperCamelCase, at most 128
    std::string action = {};  // what was done: "Failover"
    std::string note = {};    // for people, cut at 1 KiB
    std::optional<ObjectReference> related = {};
};

struct EventOptions {
    std::string controller = "matriarch.dev/operator";  // reportingController
    std::string instance = {};                          // reportingInstance: the pod's name
    std::size_t queue = 1000;
    std::size_t series = 4096;  // remembered at once
    Duration refresh = std::chrono::seconds(30);
    Duration series_end = std::chrono::minutes(6);
    int tries = 12;
    Duration retry = std::chrono::seconds(10);
};

class EventRecorder {
  public:
    EventRecorder(Client& client, const Clock& clock, Random& random, Waiter& waiter,
                  EventOptions options);

    // Never blocks. False if the queue is full.
    bool record(Event event);

    // Sends until stopped; then sends what is queued, for at most two seconds.
    void run(std::stop_token stop);

    struct Stats {
        std::uint64_t recorded = 0;
        std::uint64_t sent = 0;     // requests that succeeded
        std::uint64_t dropped = 0;  // queue full, or given up
        std::size_t queued = 0;
    };
    Stats stats() const;

  private:
    // The note as well: a second change of master is no repetition of the first one.
    using Identity = std::tuple<ObjectReference, EventType, std::string, std::string, std::string,
                                std::optional<ObjectReference>>;
    struct Series {
        Event event;
        std::string name;
        WallTime first;
        WallTime last;
        TimePoint last_seen{};
        TimePoint last_written{};
        int count = 1;
        int written = 0;  // the count that the server has
        int tries = 0;    // failures in a row
        TimePoint not_before{};
    };
    struct Queued {
        Event event;
        WallTime wall;
        TimePoint at;
    };

    void absorb();
    void make_room();
    // Sends what is due, at the last call all there is; returns when something else will be due.
    TimePoint send_due(std::optional<Deadline> last_call, std::stop_token stop);
    Status write(Series& series, const Call& call);
    void count(bool sent);

    Client& client_;
    const Clock& clock_;
    Random& random_;
    Waiter& waiter_;
    const EventOptions options_;
    std::map<Identity, Series> series_;  // run()'s own
    mutable std::mutex mutex_;
    std::deque<Queued> queue_;  // guarded by mutex_, like all below
    Stats stats_;
};

}  // namespace matriarch::kube
