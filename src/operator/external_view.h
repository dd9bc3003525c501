// An external topology as decide sees it: what was probed, in the words of any cluster.
//
// The routing rules then need not know whether an agent of ours or a provider's endpoint reports:
// states, lag, weights and hold times are one code. Pure; any thread.
#pragma once

#include <vector>

#include "decide/external.h"
#include "decide/observation.h"
#include "operator/cluster.h"
#include "operator/external_targets.h"

namespace matriarch::op {

// Who has not answered for a second is not reachable, though its deadline is still to come.
std::vector<decide::EndpointSight> sights_of(const Cluster& cluster,
                                             const EndpointProber::Results& results, TimePoint now);

// slave1, slave2, …: as published, or else as the spec has them. A former master takes the position
// of its successor, as in any cluster (docs/decisions/003).
std::vector<InstanceName> external_positions(const ExternalSpec& spec,
                                             const std::optional<Routes>& published,
                                             const InstanceName& former,
                                             const InstanceName& master);

// There is no Lease, so this is for one look only.
AuthorityRecord external_record(const decide::MasterMemory& master,
                                std::vector<InstanceName> positions, Epoch epoch,
                                const EndpointProber::Results& results);

// One instance per endpoint.
std::vector<decide::InstanceView> external_instances(const Cluster& cluster,
                                                     const AuthorityRecord& record,
                                                     const EndpointProber::Results& results,
                                                     const ExternalTargets& targets);

// Conditions Ready and EndpointsReachable.
std::vector<decide::Finding> external_findings(const Cluster& cluster,
                                               const std::vector<decide::InstanceView>& instances,
                                               const EndpointProber::Results& results,
                                               const ExternalTargets& targets,
                                               const decide::MasterChoice& choice);

}  // namespace matriarch::op
