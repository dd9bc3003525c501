// Orders: what the operator tells one agent to do. An order is a goal, so repeating it is harmless.
//
// Every order carries term, epoch with id, order id, the incarnation that it is meant for and that
// agent's own clock reading. The agent refuses it when it is another incarnation, when the term or
// epoch is below its stored one, when an equal epoch has another id (INV-2), or after
// clock_reading + valid_for. See design: mandate and proof.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/config.h"
#include "model/ids.h"
#include "model/mandate.h"
#include "model/record.h"

namespace matriarch {

enum class OrderKind {
    Configure,   // take over `config`; reload, or say that a restart is pending
    Initialize,  // make a new database (only without data, only epoch's holder), serve as master
    Lead,        // start (or go on) as master of this epoch
    Follow,      // be a slave of `upstream`: clone, rejoin or repoint, whatever is needed
    Halt,        // slave: stop the WAL receiver, so that positions stand still; see `withhold`
    Promote,     // slave: become master of this epoch; needs `proof`
    Fence,       // end every PostgreSQL process, remember `fenced at epoch` durably
    Restart,     // restart PostgreSQL in its present role
    Checkpoint,  // master: CHECKPOINT, so that pg_rewind can use it as a source
};
std::string_view to_string(OrderKind kind);

// Why nobody else can be acknowledging. A promotion without one is not a promotion.
struct Proof {
    ProofKind kind = ProofKind::ConfirmedFence;
    InstanceName of;  // the old master
    PodUid pod;
    Epoch epoch;               // of which it was master
    Incarnation confirmed_by;  // ConfirmedFence: the agent that said so
    friend bool operator==(const Proof&, const Proof&) = default;
};

// A PostgreSQL server to stream from, always an instance's own name (never a Service).
struct Upstream {
    InstanceName instance;
    std::string host;     // name, verified by TLS
    std::string address;  // IP at the time of the order, may be empty
    int port = 5432;
    friend bool operator==(const Upstream&, const Upstream&) = default;
};

// WAL that the candidate lacks, to be fetched from another agent before it promotes.
struct Rescue {
    InstanceName source;
    std::string host, address;
    int port = 0;
    Timeline timeline;
    Lsn end;         // what the source has; of a slave's the last record may be cut there ...
    Lsn least = {};  // ... and reaches at least so far
    friend bool operator==(const Rescue&, const Rescue&) = default;
};

struct Order {
    OrderId id;
    OrderKind kind = OrderKind::Configure;
    Term term;
    Epoch epoch;
    EpochId epoch_id;
    Incarnation incarnation;
    std::chrono::milliseconds clock_reading{0};  // the agent's, from the report acted upon
    std::chrono::milliseconds valid_for{0};

    std::optional<Upstream> upstream;      // Follow
    std::optional<InstanceConfig> config;  // Configure, Initialize
    std::optional<Proof> proof;            // Promote
    std::optional<Rescue> rescue;          // Promote
    SystemIdentifier system_identifier;    // Follow, Lead, Promote: must be that of the data
    bool clean = false;                    // Fence: try a fast shutdown first, with a deadline ...
    InstanceName heir;                     // ... which only this slave's confirmation may hold up
    Timeline reserved;                     // Promote: open a timeline above this number
    // Follow: the newest timeline that the cluster is known to have served from. A newer one of the
    // upstream's was opened by this order's epoch.
    Opening opening;
    CandidateSet candidates;  // Promote, Lead, Initialize: stored with the epoch
    // Halt: promise nothing more for epochs up to this order's (see design: Expiry). Any later
    // order of the same epoch lifts it.
    bool withhold = false;
    // The largest mandate that may be in force, for an agent that starts anew and has forgotten
    // what it promised. 0: not said. Only Configure lowers what is known.
    std::chrono::milliseconds ttl{0};
    std::optional<Grant> grant;    // Promote, Lead, Initialize: so that nobody waits for a poll
    std::optional<SyncRule> sync;  // stored with the epoch; a lower version than known is ignored
    friend bool operator==(const Order&, const Order&) = default;
};

std::string to_json(const Order& order);
Result<Order> order_from_json(std::string_view text);

}  // namespace matriarch
