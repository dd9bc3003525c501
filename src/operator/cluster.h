// Cluster: one PostgresCluster as the operator's cache keeps it.
//
// A spec that the schema let through and parse_spec refuses does not make the object invisible: it
// is decoded with `spec_problem`, so that a condition can name the field. A value type.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/ids.h"
#include "model/spec.h"
#include "operator/status.h"

namespace matriarch::op {

struct Cluster {
    ClusterKey key;
    std::string uid, resource_version;
    std::string created;  // RFC 3339
    std::int64_t generation = 0;
    bool deleting = false;
    StringMap labels, annotations;
    std::vector<std::string> finalizers;
    ClusterSpec spec;                   // the defaults if there is a problem
    std::optional<Error> spec_problem;  // of the spec or the name: nothing may be built
    ClusterStatus status;               // as published last
};

// Invalid only for what is no PostgresCluster of some namespace with a name and a uid.
Result<Cluster> decode_cluster(const nlohmann::json& object);

// The controller reference of every object that dies with the cluster.
nlohmann::json owner_reference(const Cluster& cluster);

}  // namespace matriarch::op
