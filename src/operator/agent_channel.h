// AgentChannel: what every agent last said, and the way to tell it something.
//
// One long poll is outstanding at each agent at all times, so a dead postmaster is known after one
// trip. Orders go on a lane of their own and never queue behind a poll; their answers carry a fresh
// report. Thread-safe: callbacks of the wire, workers and run() meet under one mutex. Silence is
// kept as silence: `reachable` turns false at once, the last report stays with its time.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "decide/plan.h"
#include "kube/waiter.h"
#include "model/ids.h"
#include "model/report.h"
#include "model/spec.h"

namespace matriarch::op {

// Where an agent is reached. `pod` tells the pods of one instance apart.
struct AgentAddress {
    ClusterKey cluster;
    InstanceName instance;
    PodUid pod;
    std::string ip;
    std::string server_name;  // verified in the agent's certificate
    friend bool operator==(const AgentAddress&, const AgentAddress&) = default;
};

// The network, as an interface: production speaks JSON over mutual TLS, a simulation delivers by
// itself. Messages are encoded and decoded here, on the caller's and on the wire's own threads.
class AgentWire {
  public:
    // A lane is a connection. The spare one takes the polls when one of them was not answered.
    enum Lane { kPollLane = 0, kOrderLane = 1, kSpareLane = 2 };
    using OnReport = std::function<void(Result<Report> report)>;
    using OnOrderAnswer = std::function<void(Result<OrderAnswer> answer)>;

    virtual ~AgentWire() = default;
    // What the agent answered, or an Error; never inside the call, exactly once.
    virtual void poll(const AgentAddress& to, Lane lane, const Poll& poll, Duration timeout,
                      OnReport callback) = 0;
    virtual void order(const AgentAddress& to, const Order& order, Duration timeout,
                       OnOrderAnswer callback) = 0;
    virtual void forget(const AgentAddress& to) = 0;
    // By what the agents of a cluster are known, and we to them: the data of its CA Secret. Cheap
    // when nothing changed.
    virtual Status set_authority(const ClusterKey& cluster, const StringMap& ca) = 0;
    virtual void drop_authority(const ClusterKey& cluster) = 0;
};

struct AgentKnowledge {
    AgentAddress address;
    std::optional<Report> report;  // the newest, perhaps of an earlier pod of this instance
    TimePoint reported_at{};       // when it arrived here
    bool asked = false;            // an exchange with this address has ended, well or not
    bool reachable = false;
    std::string trouble;        // of the last exchange that failed
    std::string clock_trouble;  // its clock's rate differs too much from ours
};

class AgentChannel {
  public:
    // The cluster should be looked at. Urgent: something happened; otherwise only figures moved.
    using OnNews = std::function<void(const ClusterKey& cluster, bool urgent)>;
    using OnAnswer = std::function<void(const Result<OrderAnswer>& answer)>;

    // When our leadership ends, as it stands: no grant outlives it.
    using LeadershipEnd = std::function<TimePoint()>;

    AgentChannel(AgentWire& wire, const Clock& clock, kube::Waiter& waiter, OnNews on_news,
                 LeadershipEnd leadership_end);

    // Polls this agent from now on; a new pod or address of an instance replaces the former.
    void watch(const AgentAddress& address);
    // Stops polling and drops the knowledge of one instance, or of a whole cluster.
    void forget(const ClusterKey& cluster, const InstanceName& instance);
    void forget(const ClusterKey& cluster);

    // The leadership under which polls are sent; polls are made only while it is valid.
    void set_leadership(Term term, std::string leader, bool valid);

    std::optional<AgentKnowledge> knowledge(const ClusterKey& cluster,
                                            const InstanceName& instance) const;

    // Sends an order to the instance's agent; the answer's report is news as well.
    void order(const ClusterKey& cluster, const InstanceName& instance, const Order& order,
               Duration timeout, OnAnswer on_answer);

    // Whose polls carry grants from now on; nobody's: no mandate of this cluster is prolonged.
    void grant(const ClusterKey& cluster, const std::optional<decide::Granting>& granting);
    // From when, at the latest, the last grant to anybody of this cluster counts: the arrival of
    // the clock reading that it names.
    std::optional<TimePoint> last_grant(const ClusterKey& cluster) const;

    // Begins the polls that are due; blocks until stopped.
    void run(std::stop_token stop);

    // The longest that a poll may stay open; at most a sixth of the mandate.
    static constexpr milliseconds kPollWait{500};
    // By how much an agent's clock may run faster or slower than ours. Source: design, Mandate.
    static constexpr double kClockTolerance = 0.04;

  private:
    using Key = std::pair<ClusterKey, InstanceName>;
    struct Peer {
        AgentKnowledge known;
        std::uint64_t generation = 0;  // of the address: answers to former ones are dropped
        bool polling = false;
        TimePoint next_poll{};
        AgentWire::Lane lane = AgentWire::kPollLane;  // of the polls
        TimePoint next_warm_up{};                     // of the lanes that no poll uses
        int failures = 0;
        // Its clock against ours: a first reading, taken between these two moments of ours.
        std::optional<milliseconds> first_reading;
        TimePoint first_from{}, first_to{}, poll_sent{};
    };
    struct Grants {
        std::optional<decide::Granting> to;
        std::optional<TimePoint> from;
        void counts_from(TimePoint at) { from = from ? std::max(*from, at) : at; }
    };

    bool granted(const Key& key, const Peer& peer) const;  // requires the mutex, as all of these
    void begin_poll(const Key& key, Peer& peer, TimePoint leadership_end);
    std::optional<Grant> grant_for(const Key& key, const Peer& peer, TimePoint leadership_end);
    static void compare_clocks(Peer& peer, const Report& report, TimePoint now);
    void warm_up(const Key& key, Peer& peer);  // likewise
    void poll_ended(const Key& key, std::uint64_t generation, Result<Report>&& report);
    // Takes a report over; true if it is news worth an urgent look. Requires the mutex.
    static bool absorb(Peer& peer, Report report, TimePoint now);
    static bool lost(Peer& peer, const Error& error);

    AgentWire& wire_;
    const Clock& clock_;
    kube::Waiter& waiter_;
    const OnNews on_news_;
    const LeadershipEnd leadership_end_;
    mutable std::mutex mutex_;
    std::map<Key, Peer> peers_;  // guarded by mutex_, like all below
    std::map<ClusterKey, Grants> grants_;
    std::uint64_t generations_ = 0;
    Term term_;
    std::string leader_;
    bool leading_ = false;
};

}  // namespace matriarch::op
