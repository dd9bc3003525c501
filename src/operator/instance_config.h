// InstanceConfig from a spec: what every instance of a cluster is told about its PostgreSQL. Pure.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/record.h"
#include "model/spec.h"

namespace matriarch::op {

// `members` are all instances of the cluster; `verifier` is the owner role's SCRAM verifier.
InstanceConfig instance_config(const ClusterSpec& spec, const InstanceName& instance,
                               const std::vector<InstanceName>& members,
                               const std::string& verifier);

}  // namespace matriarch::op
