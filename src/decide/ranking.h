// Ranking: who becomes master. Called once a proof stands and no slave receives new WAL. Pure.
//
// Eligible: a fresh report, the same system identifier, the newest timeline that the cluster served
// from (INV-6: LSNs are compared on one timeline only), not excluded, and no more behind than
// maxLag after rescue; where commits wait for slaves it must have all of them instead. Of those,
// the lowest position whose missing WAL can be fetched from the old master or another slave;
// otherwise the highest position in the WAL, ties by position. See design: Ranking.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "decide/facts.h"
#include "model/order.h"

namespace matriarch::decide {

struct Candidate {
    const InstanceView* instance = nullptr;
    bool former_master = false;    // starts as master again instead of being promoted
    std::optional<Rescue> rescue;  // fetches WAL that others have; after it ...
    Bytes lacking;                 // ... it is behind the best known end of the WAL by so much
    bool has_all_commits = false;  // proven by the synchronous rules (INV-5) ...
    Lsn must_reach;                // ... once it has replayed so much
    std::string why;
};

struct Ranking {
    std::optional<Candidate> winner;
    std::vector<std::string> refused;  // "orders-3: no report", for people
};

// `proof` is why the old master is over: after an expiry only full members of the candidate set
// that promise nothing any more may lead.
Ranking rank(const Facts& facts, ProofKind proof);

// The same for one instance: nothing and a reason if it may not become master.
std::optional<Candidate> consider(const Facts& facts, const InstanceView& instance, ProofKind proof,
                                  std::string& refusal);

// Its agent said that it stopped its WAL receiver for good, so its position moves no more.
bool stands_still(const Facts& facts, const InstanceView& slave);

// Who has the WAL that `to` lacks: the old master, whose end is the end; otherwise the slave with
// the most of it. A source that is behind is no source.
std::optional<Rescue> find_rescue(const Facts& facts, const InstanceView& to,
                                  const InstanceView* old_master);

// The instance that spec.failover.target names (an instance or a position); null if none.
const InstanceView* resolve(const Facts& facts, const std::string& target);
// A request that was not acted on yet.
bool change_requested(const Facts& facts);
// An administrator says that commits may be lost if that one becomes master: with the request that
// names it, or that comes while it is being promoted. For this change only: what stays in the spec
// afterwards is no word about the next one.
bool loss_is_accepted(const Facts& facts, const InstanceView& by);

}  // namespace matriarch::decide
