// Slim typed views of the Kubernetes objects that we read.
//
// Only the fields that something uses: a cache keeps thousands of these. Values without behaviour.
// The server has validated what it sends, so decoders only insist on metadata.name (else Invalid);
// any other field that is missing or of an unexpected type is empty.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "kube/resource.h"

namespace matriarch::kube {

using StringMap = std::map<std::string, std::string>;

struct Meta {
    std::string ns = {};
    std::string name = {};
    std::string uid = {};
    std::string resource_version = {};
    std::int64_t generation = 0;
    StringMap labels = {};
    StringMap annotations = {};           // without kubectl's last-applied-configuration
    std::string owner_uid = {};           // of the reference with controller=true
    std::string creation_timestamp = {};  // RFC 3339
    std::string deletion_timestamp = {};  // empty: not being deleted
    std::vector<std::string> finalizers = {};

    bool deleting() const { return !deletion_timestamp.empty(); }
    ObjectKey object_key() const { return {ns, name}; }
    std::string key() const { return object_key().str(); }
    // Empty if absent.
    const std::string& label(const std::string& name) const;
    const std::string& annotation(const std::string& name) const;
};

enum class ContainerState { Unknown, Waiting, Running, Terminated };

struct ContainerStatus {
    std::string name = {};
    ContainerState state = ContainerState::Unknown;
    std::string reason = {};  // of Waiting ("ImagePullBackOff") or Terminated
    std::string message = {};
    std::optional<int> exit_code = {};  // of Terminated
};

struct Pod : Meta {
    std::string node = {};
    std::string ip = {};
    std::string phase = {};   // Pending, Running, Succeeded, Failed, Unknown
    std::string reason = {};  // "Evicted"
    std::string message = {};
    bool ready = false;
    std::string unschedulable = {};  // message of PodScheduled=False, else empty
    std::vector<ContainerStatus> containers = {};
    std::vector<ContainerStatus> init_containers = {};
};

// Of these nothing but the metadata is read.
struct StatefulSet : Meta {};
struct Service : Meta {};
struct EndpointSlice : Meta {};

// coordination.k8s.io/v1. Times are the text as it is in the object: they are compared for equality
// only, never with a clock.
struct Lease : Meta {
    std::string holder = {};
    int duration_seconds = 0;
    std::string acquire_time = {};
    std::string renew_time = {};
    std::int64_t transitions = 0;
};

// A PersistentVolumeClaim.
struct Claim : Meta {
    std::string phase = {};      // Pending, Bound, Lost
    std::string requested = {};  // quantity: "10Gi"
};

struct Taint {
    std::string key = {};
    std::string value = {};
    std::string effect = {};
};

struct Node : Meta {
    bool ready = false;
    bool unschedulable = false;
    std::vector<Taint> taints = {};
};

// Data decoded from base64.
struct Secret : Meta {
    std::string type = {};
    StringMap data = {};
};

struct ConfigMap : Meta {
    StringMap data = {};
};

Result<Meta> decode_meta(const nlohmann::json& object);
Result<Pod> decode_pod(const nlohmann::json& object);
Result<StatefulSet> decode_stateful_set(const nlohmann::json& object);
Result<Lease> decode_lease(const nlohmann::json& object);
Result<Claim> decode_claim(const nlohmann::json& object);
Result<Node> decode_node(const nlohmann::json& object);
Result<Secret> decode_secret(const nlohmann::json& object);
Result<ConfigMap> decode_config_map(const nlohmann::json& object);
Result<EndpointSlice> decode_endpoint_slice(const nlohmann::json& object);
Result<Service> decode_service(const nlohmann::json& object);

// The object to PUT or POST. Empty times and an empty holder are left out; resourceVersion, uid,
// labels, annotations and finalizers are kept, owner references are not: use merge_patch where a
// Lease may have some.
nlohmann::json encode_lease(const Lease& lease);

}  // namespace matriarch::kube
