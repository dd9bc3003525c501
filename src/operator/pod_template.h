// The template of an instance's pod; see instance_objects.h. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "operator/instance_objects.h"

namespace matriarch::op {

// The value of spec.template.
nlohmann::json pod_template(const Cluster& cluster, const InstanceName& instance,
                            const AgentImage& agent);

}  // namespace matriarch::op
