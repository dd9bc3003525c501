// Executing ObjectWrites, and gathering what is held. Blocks in the client; any thread.
#pragma once

#include "kube/client.h"
#include "operator/caches.h"
#include "operator/provision.h"

namespace matriarch::op {

// What the caches have of this cluster's objects.
HeldObjects held_in(const Caches& caches, const ClusterKey& cluster);

// Reads one object live into `held`, if it is there.
Status read_into(kube::Client& client, const kube::Resource& resource, const kube::ObjectKey& key,
                 HeldObjects& held);

// Conflict: something else is there than the plan knew: look again.
Status execute(kube::Client& client, const ClusterKey& cluster, const ObjectWrite& write);

// A write of a name that nothing is known of: whatever is there must be read before.
bool blind(const ObjectWrite& write);

}  // namespace matriarch::op
