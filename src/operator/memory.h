// ClusterMemory: what one operator process remembers of one cluster between two looks at it.
//
// Nothing here is needed for safety: another operator begins with none of it. One worker at a time
// has a cluster (the work queue's guarantee) and may use all of it; only `orders` is shared with
// the callbacks of orders, under its mutex.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "decide/external.h"
#include "decide/observation.h"
#include "kube/conditions.h"
#include "model/record.h"
#include "model/routes.h"
#include "operator/external_targets.h"
#include "operator/provision.h"
#include "operator/route_objects.h"
#include "operator/status.h"

namespace matriarch::op {

struct SentOrders {
    std::mutex mutex;
    std::map<InstanceName, decide::SentOrder> last;  // guarded by mutex, as the next
    std::map<InstanceName, decide::SentOrder> configured;
};

// A change of master that is under way or just ended, for the story that people are told.
struct ChangeUnderWay {
    TimePoint began;
    WallTime began_wall;
    InstanceName from;
    // Before the change, as told: epochs in between belong to it, and what they lost is not known.
    Epoch epoch;
    std::string why;
    std::vector<StepTime> steps;
    TimePoint last_step;
    std::optional<Bytes> loss;  // absent: not known
    ProofKind proof = ProofKind::ConfirmedFence;
};

struct ExternalState {
    ExternalTargets targets;
    TimePoint targets_read{};
    std::int64_t generation = 0;  // that they were read for
    TimePoint first_asked{};
    decide::MasterMemory master;
    Epoch epoch;
};

struct ClusterMemory {
    std::string cluster_uid;
    std::optional<AuthorityRecord> record;  // the newest seen: the cache's or our own write's
    std::string record_trouble;
    std::optional<ClusterSpec> valid_spec;  // the last one that could be fulfilled
    decide::MandateTimes mandate;           // but for `granted`, which the agents' channel knows
    TimePoint record_seen_at{};             // first sight of `record`'s version
    ResourceVersion live_version;           // of the record as last read live, or written by us
    std::optional<Routes> published;
    Stamp last_published;           // also of a ConfigMap that was deleted since
    std::string published_version;  // of the ConfigMap
    TimePoint published_at{};
    std::string routes_mended;  // see RouteWriter::mend
    std::optional<TimePoint> master_failed_since;
    bool node_out_of_service = false;  // the silent master's, as last asked
    TimePoint node_asked{};
    std::optional<TimePoint> epoch_since;    // of the record's epoch: its first sight
    std::optional<TimePoint> serving_since;  // of the epoch that was seen serving last
    std::map<InstanceName, TimePoint> streamed_at, fit_since;
    std::shared_ptr<SentOrders> orders = std::make_shared<SentOrders>();
    std::optional<ChangeUnderWay> change;
    std::vector<ChangeOfMaster> history;  // what status may not show yet, newest first
    std::optional<ClusterStatus> written_status;
    std::map<std::string, std::string> last_conditions;  // type -> what was told, for events
    std::map<InstanceName, TimePoint> without_pod_since, troubles_asked;
    std::map<InstanceName, std::string> troubles;  // from Kubernetes' events
    TimePoint objects_checked{};
    bool objects_behind = false;  // by the last pass; the caches had better catch up before another
    HeldObjects uncached;         // of kinds that are not watched
    std::string certificates_fit;     // the Secrets of which the last look found nothing due ...
    WallTime certificates_checked{};  // ... and when
    TimePoint uncached_read{};
    std::size_t uncached_names = 0;  // of the objects that were read
    std::optional<kube::Condition> objects_condition;
    std::string objects_for;  // what the last complete ensure pass was made for
    ExternalState external;   // of a cluster whose databases run elsewhere

    // The record as another version shows it: somebody else's write, or a newer one.
    void saw_record(const AuthorityRecord& seen, TimePoint now);
    // Our own write replaced what we saw.
    void wrote_record(const AuthorityRecord& stored, TimePoint now);
    // Our term: times of a former leadership mean nothing.
    void note_term(Term term, TimePoint now);

    // Whether the master knows that its mandates are shorter now.
    void note_ttl(const std::optional<Report>& master, TimePoint now);
    // Since when the record's epoch is known, and serves.
    void note_epoch(decide::Observation& seen, TimePoint now);
    // Which slaves the master streams to, at this look; after note_epoch().
    void note_streams(decide::Observation& seen);
    // Which slaves are fit for reads, at this look.
    void note_fit(const std::vector<InstanceName>& fit, TimePoint now);

  private:
    Term term_;
    Epoch epoch_, serving_epoch_;
};

}  // namespace matriarch::op
