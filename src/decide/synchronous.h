// Synchronous replication: whom commits wait for, and who can be without an acknowledged one. Pure.
//
// The record's rule says it, never the spec: a rule is recorded before the master loads it, and
// every former one stays beside it until enough members of the new one have flushed past the
// position from which the master keeps it. Meanwhile all of them count (INV-5). See design:
// Synchronous modes.
#pragma once

#include <string>

#include "decide/facts.h"

namespace matriarch::decide {

// The rule of a cluster whose slaves are still to be made.
SyncRule first_sync_rule(const Facts& facts, const std::vector<InstanceName>& positions);
// As the spec and the slaves of the serving master are now.
SyncRule wanted_sync_rule(const Facts& facts);
// For the epoch in which `next`'s holder leads: its positions are those of that epoch.
SyncRule sync_rule_after(const Facts& facts, const AuthorityRecord& next);

// Makes `rule` the record's, and keeps the former one beside it; nothing if it is the same.
void change_sync_rule(AuthorityRecord& record, SyncRule rule);
// Enough members have all that was acknowledged under the former rules.
bool sync_settled(const Facts& facts);
// A rule, present or former, names it.
bool in_sync_rule(const AuthorityRecord& record, const InstanceName& instance);

// The record's holder has been master of its epoch: what it had was acknowledged.
bool served(const AuthorityRecord& record);

// It has not streamed from the master for so long that commits should not wait for it.
bool left_stream(const Facts& facts, const InstanceName& slave);

// Whether every commit since the oldest rule was acknowledged by a slave too.
bool all_commits_wait(const AuthorityRecord& record);
// Why `candidate`, whose WAL reaches to `end`, may be without an acknowledged commit; empty: it has
// all of them. Once a proof stands: R + W > N over every recorded rule, R the members whose WAL
// ends no later; or the master's own end of WAL, found after its fence.
std::string may_lack_commits(const Facts& facts, const InstanceView& candidate, Lsn end);

}  // namespace matriarch::decide
