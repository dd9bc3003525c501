// What all objects of the operator have in common: metadata, owner and the hash of their content.
//
// The hash is an annotation: the next pass compares it with the wanted object's instead of sending
// an identical apply, which would change nothing and cost a request. Pure; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kube/resource.h"
#include "model/spec.h"
#include "operator/cluster.h"

namespace matriarch::op {

// An object with apiVersion, kind, name, namespace, labels and the cluster as its controller.
nlohmann::json owned_object(const Cluster& cluster, const kube::Resource& resource,
                            const std::string& name, const StringMap& labels);
// The same without an owner: it survives the cluster.
nlohmann::json kept_object(const Cluster& cluster, const kube::Resource& resource,
                           const std::string& name, const StringMap& labels);

// Annotates `object` with the hash of all that it says. Call it last.
void seal(nlohmann::json& object);
std::string content_hash_of(const nlohmann::json& object);

// Equal JSON texts have equal hashes on all machines; 32 hex digits.
std::string hash_json(const nlohmann::json& value);

}  // namespace matriarch::op
