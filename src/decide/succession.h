// Succession: from a proof that the old master is over to the record that names the next one. Pure.
//
// Slaves stand still first, so that positions can be compared; then one is chosen and recorded as
// candidate of the next epoch. What becomes of it then is rules_promotion.cc's.
#pragma once

#include <optional>
#include <string>

#include "decide/facts.h"
#include "decide/plan.h"
#include "decide/ranking.h"

namespace matriarch::decide {

// A member that runs as slave on the newest timeline.
bool may_take_over(const Facts& facts, const InstanceView& instance);
bool has_successor(const Facts& facts);

// Slaves stand still, or had their time to. While an expiry is waited for they promise the old
// master nothing any more.
bool receivers_are_down(const Facts& facts, Plan& plan);

// The timeline that a candidate opened without being verified counts as served: nobody leads
// without what clients may have written there. False: there is none, or it counts already.
bool count_as_served(const Facts& facts, Plan& plan);

// The former master of a candidate that never became one, if it is here with all of its WAL: since
// it ended nothing was acknowledged. Null: there is none, or that is not known.
const InstanceView* former_master(const Facts& facts);

// How far the candidate must have replayed to have all commits. What the former master no longer
// has, after its host lost power, was not on its disk, so it was acknowledged to nobody.
Lsn must_reach(const Facts& facts);

// A proof stands: choose the next master and record it as candidate. Always decides.
Verdict choose(const Facts& facts, Plan& plan, ProofKind proof);

// The record in which `winner` is to lead, in the next epoch.
AuthorityRecord succeed(const Facts& facts, const Candidate& winner, ProofKind proof);

// Words for a spec.failover.target that is no slave of this cluster.
std::string no_such_target(const Facts& facts);

}  // namespace matriarch::decide
