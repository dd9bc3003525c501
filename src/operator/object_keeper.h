// ObjectKeeper: the objects around a cluster are as they should be: Secrets, Services,
// StatefulSets, rights. Never adopts what belongs to someone else. Blocks; one worker at a time per
// cluster.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "kube/client.h"
#include "kube/conditions.h"
#include "operator/caches.h"
#include "operator/cluster.h"
#include "operator/instance_objects.h"
#include "operator/memory.h"
#include "operator/provision.h"

namespace matriarch::op {

struct KeeperResult {
    kube::Condition condition;  // ObjectsInPlace
    bool wrote = false;
    bool behind = false;  // a write met a newer object than the caches know
};

class ObjectKeeper {
  public:
    ObjectKeeper(kube::Client& client, const Clock& clock, Random& random, AgentImage agent,
                 std::string cluster_domain);

    // One pass over everything, with these instances.
    Result<KeeperResult> keep(const Cluster& cluster, const Caches& caches, ClusterMemory& memory,
                              const std::set<InstanceName>& instances);

    Status remove_instance(const Cluster& cluster, const Caches& caches,
                           const InstanceName& instance);

  private:
    // Of one pass.
    struct Execution {
        std::set<std::pair<std::string, std::string>> settled;  // (plural, name)
        std::vector<std::string> refused;                       // and why
        bool wrote = false;
        bool moved = false;  // objects are newer than was known: now they are read
    };

    Status execute_all(const Cluster& cluster, const Provision& provision, HeldObjects& held,
                       Execution& done);
    Status read_uncached(const Cluster& cluster, ClusterMemory& memory, HeldObjects& held);
    Provision plan(const Cluster& cluster, ClusterMemory& memory, const WantedInstances& wanted,
                   const HeldObjects& held);
    Provision plan_certificates(const Cluster& cluster, ClusterMemory& memory,
                                const WantedInstances& wanted, const HeldObjects& held,
                                StringMap& ca);

    kube::Client& client_;
    const Clock& clock_;
    Random& random_;
    const AgentImage agent_;
    const std::string cluster_domain_;
};

}  // namespace matriarch::op
