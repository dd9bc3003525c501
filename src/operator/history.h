// The history of a cluster's masters in status, newest first, and what each change lost. Pure.
#pragma once

#include <optional>
#include <vector>

#include "model/report.h"
#include "operator/status.h"

namespace matriarch::op {

// What a change lost, in words; nothing: not known.
std::string loss_text(std::optional<Bytes> at_most);

// The entry that becomes exact because its old master has rejoined and said what it had beyond the
// new history; nothing if no entry changes by that.
std::optional<ChangeOfMaster> settle_loss(const std::vector<ChangeOfMaster>& history,
                                          const InstanceName& instance, const Rejoined& rejoined);

}  // namespace matriarch::op
