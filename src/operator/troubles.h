// Troubles: why an instance has no pod, or its pod no volume, as Kubernetes' own events say it.
//
// Quotas, admission and missing storage classes leave no trace in the objects that we watch. Asked
// only for instances that have been without a running pod for a while, and seldom. Blocks.
#pragma once

#include <string>

#include "base/clock.h"
#include "kube/client.h"
#include "operator/caches.h"
#include "operator/cluster.h"
#include "operator/memory.h"

namespace matriarch::op {

// Refreshes memory.troubles. `now` paces the questions.
void look_for_troubles(kube::Client& client, const Cluster& cluster, const Caches& caches,
                       ClusterMemory& memory, TimePoint now);

}  // namespace matriarch::op
