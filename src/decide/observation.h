// Observation: everything that decide may know of one cluster, at one moment. A value.
//
// The operator's shell fills it from its caches, the authority record (read live before anything
// disruptive) and the agents' reports. What is not known is absent or Unknown, never guessed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/config.h"
#include "model/record.h"
#include "model/report.h"
#include "model/routes.h"
#include "model/spec.h"

namespace matriarch::decide {

// What became of the last order that was sent to an instance.
struct SentOrder {
    OrderId id;
    Incarnation incarnation;
    TimePoint at;
    std::string refusal;  // empty: accepted, or no answer yet
};

struct InstanceView {
    InstanceName name;
    bool exists = false;       // it has a StatefulSet that is ours
    bool deleting = false;     // which is being deleted
    bool has_volume = false;   // it has a claim ...
    bool kept_volume = false;  // ... that is older than the cluster: data of a former life
    PodUid pod;                // empty: no pod
    std::string host;          // stable name
    std::string address;       // pod IP, may be empty
    int port = 5432;
    std::string node;           // where the pod runs
    bool pod_ending = false;    // has a deletion timestamp
    bool pod_outdated = false;  // its template changed in a way that only a new pod takes over
    std::string pod_trouble;    // image, scheduling, volume: why there is no agent, for people

    std::optional<Report> report;  // the newest, perhaps of a pod that is gone
    TimePoint reported_at;
    bool asked = true;          // false: nobody has tried to reach this agent yet
    bool reachable = false;     // the last exchange with the agent succeeded
    std::string clock_trouble;  // its clock's rate differs too much from ours: no grants
    InstanceConfig config;      // as it should be
    std::optional<SentOrder> sent;
    std::optional<SentOrder> configured;  // the last Configure
    // When the master last streamed to it while its agent answered, as far as we have watched.
    std::optional<TimePoint> streamed_at;
    // Since when each look has found it fit for reads (Plan::fit_for_reads), kept by the shell.
    std::optional<TimePoint> fit_since;
};

// One PgBouncer of the cluster.
struct PoolerView {
    std::string pod;
    bool ready = false;   // it takes clients
    std::string trouble;  // why not, for people
    std::string holds;    // the Routes::pause for which it holds writers back; empty: none
    friend bool operator==(const PoolerView&, const PoolerView&) = default;
};

// What a mandate may still last on, as moments of this operator's own clock. Absent: it did not
// happen since this process leads.
struct MandateTimes {
    std::optional<TimePoint> granted;       // the last grant counts from, at the latest
    std::optional<TimePoint> term_written;  // the record was first seen with our term
    std::optional<TimePoint> renewed;       // the holder renewed the record by itself
    std::optional<TimePoint> ttl_lowered;   // the master was first seen to know a lower TTL
    std::optional<TimePoint> replaced;      // first sight of the version that `closing` replaced
};

struct Observation {
    ClusterKey cluster;
    ClusterSpec spec;
    bool deleting = false;
    bool complete = false;       // every cache has been read once: absence means something
    std::string record_trouble;  // the Lease exists but is no record: for people
    std::optional<AuthorityRecord> record;
    SystemIdentifier remembered;          // from status: the cluster once had this data
    std::vector<InstanceView> instances;  // by ordinal
    std::optional<Routes> published;
    TimePoint published_at;
    std::vector<PoolerView> poolers;
    std::uint64_t last_sequence = 0;  // the highest that an object with routes of this epoch bears
    Term term;
    TimePoint leadership_until;
    MandateTimes mandate;
    bool node_out_of_service = false;              // that of the record's holder, says its taint
    std::optional<TimePoint> epoch_since;          // first sight of this epoch
    std::optional<TimePoint> serving_since;        // first sight of this epoch's phase serving
    std::optional<TimePoint> master_failed_since;  // kept by the shell while Plan::master_failed
    EpochId fresh_id;  // a random id for a new epoch, new in each observation

    const InstanceView* find(const InstanceName& name) const;
};

}  // namespace matriarch::decide
