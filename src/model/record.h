// The authority record: who is master, in one Lease per cluster, changed only by compare-and-swap.
//
// holderIdentity = instance/pod UID, leaseTransitions = epoch, leaseDurationSeconds = TTL of the
// mandate; the rest is one annotation (kRecordAnnotation) as JSON. Nothing decides from status.
// The phases: serving -> closing (an expiry is waited for) -> promoting (epoch + 1) -> serving.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"

namespace matriarch {

inline constexpr std::string_view kRecordAnnotation = "matriarch.dev/record";

enum class Phase { Serving, Closing, Promoting };
std::string_view to_string(Phase phase);

// Why nobody else can be acknowledging. See design: Proof.
enum class ProofKind { ConfirmedFence, Expiry, AdministratorsWord };
std::string_view to_string(ProofKind kind);

enum class Membership { Joining, Full };

// One member of the candidate set: only Full ones are promotable under an expiry.
struct Member {
    InstanceName instance;
    PodUid pod;
    Membership membership = Membership::Joining;
    friend bool operator==(const Member&, const Member&) = default;
};

// Who must promise a master that nobody else was promoted, before it prolongs its mandate by
// promises. `version` rises with every change in the record; 0: no set was ever stored.
struct CandidateSet {
    std::uint64_t version = 0;
    std::vector<Member> members;  // never the master itself

    bool known() const { return version != 0; }
    const Member* find(const PodUid& pod) const;
    friend bool operator==(const CandidateSet&, const CandidateSet&) = default;
};

enum class SyncMethod { First, Any };  // of synchronous_standby_names
std::string_view to_string(SyncMethod method);

// Whom commits wait for: `wait_for` of `members` must have flushed before one is acknowledged (W of
// N). Who becomes master must have seen so many of them that one is among them: R + W > N.
struct SyncRule {
    int wait_for = 0;  // 0: a commit waits for nobody
    std::vector<InstanceName> members;
    SyncMethod method = SyncMethod::First;
    std::uint64_t version = 0;  // rises with every change in the record

    bool waits() const { return wait_for > 0; }
    bool names(const InstanceName& instance) const;
    // Equal but for the version.
    bool same_as(const SyncRule& other) const;
    friend bool operator==(const SyncRule&, const SyncRule&) = default;
};

// The rule as PostgreSQL's setting of that name; empty if nobody is waited for.
std::string synchronous_standby_names(const SyncRule& rule);

struct AuthorityRecord {
    ResourceVersion version;  // of the Lease; empty: not stored yet
    InstanceName holder;      // the master; in phase promoting the candidate
    PodUid holder_pod;
    std::string holder_node;  // where that pod runs, for when it is no more
    Epoch epoch;
    EpochId epoch_id;
    std::chrono::seconds ttl{3};
    std::chrono::seconds former_ttl{0};  // a longer one, of which a mandate may still last
    Term term;
    Phase phase = Phase::Serving;
    InstanceName former;  // promoting: the master of the epoch before ...
    PodUid former_pod;
    std::optional<ProofKind> proof;  // ... and why it can acknowledge nothing more
    Lsn must_reach;                  // promoting: commits may be lost before so much is replayed
    bool loss_accepted = false;      // promoting: by the request that began it (acceptDataLoss)
    CandidateSet candidates;
    SyncRule sync;                        // in force, or being put into force by the master ...
    std::vector<SyncRule> former_sync;    // ... beside those that still count until it is
    Timeline timeline;                    // the newest that the cluster served from ...
    EpochId timeline_opened_by;           // ... and the epoch that opened it
    bool verified = false;                // the holder was seen to accept writes in its epoch
    Timeline reserved;                    // no promotion may open a number up to this one again
    SystemIdentifier system_identifier;   // empty until the first master was initialised
    std::vector<InstanceName> positions;  // slave1, slave2, ...
    std::string handled_request;          // failover.requestId acted on last

    std::chrono::seconds longest_ttl() const { return ttl > former_ttl ? ttl : former_ttl; }
    friend bool operator==(const AuthorityRecord&, const AuthorityRecord&) = default;
};

// From and to the body of a Lease (metadata.annotations, spec). to_lease sets no metadata but the
// annotation and resourceVersion.
Result<AuthorityRecord> record_from_lease(const nlohmann::json& lease);
void record_to_lease(const AuthorityRecord& record, nlohmann::json& lease);

}  // namespace matriarch
