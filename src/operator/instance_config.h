// InstanceConfig from a spec: what every instance of a cluster is told about its PostgreSQL. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/record.h"
#include "model/spec.h"

namespace matriarch::op {

// SCRAM verifiers of the roles' passwords; empty where none is known yet.
struct Verifiers {
    std::string owner, pooler;
};

// `members` are all instances of the cluster.
InstanceConfig instance_config(const ClusterSpec& spec, const InstanceName& instance,
                               const std::vector<InstanceName>& members,
                               const Verifiers& verifiers);

}  // namespace matriarch::op
