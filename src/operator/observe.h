// observe: one cluster's Observation from caches, agents' reports and memory.
//
// Reads only; the one place that knows how Kubernetes' objects answer decide's questions.
#pragma once

#include "base/random.h"
#include "decide/observation.h"
#include "kube/leader_election.h"
#include "operator/agent_channel.h"
#include "operator/caches.h"
#include "operator/memory.h"

namespace matriarch::op {

decide::Observation observe(const Cluster& cluster, const Caches& caches,
                            const AgentChannel& agents, ClusterMemory& memory,
                            const kube::Leadership& leadership, Random& random, TimePoint now);

// The published routes, into memory: our own publication may be newer than the cache; stamps never
// fall, so the higher one counts.
void take_routes(const Cluster& cluster, const Caches& caches, ClusterMemory& memory,
                 TimePoint now);
// The highest that an object with routes of the record's epoch bears: EndpointSlices have the stamp
// of their last change.
std::uint64_t last_sequence(const Cluster& cluster, const Caches& caches,
                            const ClusterMemory& memory);

// The poolers' pods, with what they hold back.
std::vector<decide::PoolerView> poolers_of(const Cluster& cluster, const Caches& caches);

// The addresses of all agents of a cluster that can be asked.
std::vector<AgentAddress> agent_addresses(const Cluster& cluster, const Caches& caches);

// Why a pod has no running agent, in one sentence for people; empty if nothing is known.
std::string pod_trouble(const kube::Pod& pod, const std::string& image_field = "spec.image");

}  // namespace matriarch::op
