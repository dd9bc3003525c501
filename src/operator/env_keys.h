// The keys that applications read as environment variables.
//
// A container's environment never changes while it runs, so these values name Services only, which
// stay true after a failover. The names are those that existing applications read; where two
// applications name the same thing differently, both are served. Values with a password are in the
// Secret only. Pure; any thread.
#pragma once

#include <string>

#include "model/ids.h"
#include "model/spec.h"

namespace matriarch::op {

// For the ConfigMap: no value holds a password.
StringMap public_env(const ClusterKey& key, const ClusterSpec& spec);
// For the Secret: passwords, and URLs that hold one.
StringMap secret_env(const ClusterKey& key, const ClusterSpec& spec, const std::string& password);

// "0.5,0.25,0.25": the share of each position, in order, adding up to exactly 1.
std::string weight_fractions(const RoutingSpec& routing, int slaves);

// Whether a list of spec.routing names `word`; an empty list means all.
bool wanted(const std::vector<std::string>& list, std::string_view word);

}  // namespace matriarch::op
