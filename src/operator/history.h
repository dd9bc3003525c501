// The history of a cluster's masters in status, newest first, and what each change lost. Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "model/record.h"
#include "model/report.h"
#include "operator/status.h"

namespace matriarch::op {

// Newest first, at most kMaxHistory; a change of an epoch that is known already replaces its entry
// (the loss becomes exact when the old master has rejoined).
void record_change(std::vector<ChangeOfMaster>& history, ChangeOfMaster change);
// `published` with all that it does not show yet.
std::vector<ChangeOfMaster> whole_history(std::vector<ChangeOfMaster> published,
                                          const std::vector<ChangeOfMaster>& untold);

// The change to the record's epoch, if the history does not tell of it: its operator died between
// the last step and the status. Of what it cost nothing is known.
std::optional<ChangeOfMaster> untold_change(const std::vector<ChangeOfMaster>& history,
                                            const AuthorityRecord& record, WallTime now);

// What a change lost, in words; nothing: not known.
std::string loss_text(std::optional<Bytes> at_most);

// The entry that becomes exact because its old master has rejoined and said what it had beyond the
// new history; nothing if no entry changes by that.
std::optional<ChangeOfMaster> settle_loss(const std::vector<ChangeOfMaster>& history,
                                          const InstanceName& instance, const Rejoined& rejoined);

}  // namespace matriarch::op
