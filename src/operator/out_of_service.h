// Whether an administrator declared the node of a silent master out of service, by Kubernetes'
// taint of that name: his word that nothing runs there any more.
//
// Asked live, only while the master's agent is silent, and seldom; without the right to read nodes
// (an operator that is limited to namespaces) the answer is no. Blocks.
#pragma once

#include "base/clock.h"
#include "kube/client.h"
#include "operator/memory.h"

namespace matriarch::op {

inline constexpr std::string_view kOutOfService = "node.kubernetes.io/out-of-service";

// Refreshes memory.node_out_of_service. `now` paces the questions.
void look_at_masters_node(kube::Client& client, ClusterMemory& memory, bool silent, TimePoint now);

}  // namespace matriarch::op
