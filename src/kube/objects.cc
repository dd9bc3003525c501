#include "kube/objects.h"

#include "kube/base64.h"
#include "kube/json_access.h"

namespace matriarch::kube {
namespace {

const std::string kNone;
// A copy of the whole object, as large as all else together.
constexpr const char* kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

StringMap get_map(const Json& json, std::initializer_list<const char*> path) {
    StringMap out;
    const Json* value = find_path(json, path);
    if (!value || !value->is_object()) return out;
    for (const auto& [key, item] : value->items()) {
        if (item.is_string()) out.emplace(key, item.get<std::string>());
    }
    return out;
}

int get_small(const Json& json, std::initializer_list<const char*> path, int fallback = 0) {
    return static_cast<int>(get_int(json, path, fallback));
}

std::optional<int> get_optional(const Json& json, std::initializer_list<const char*> path) {
    const Json* value = find_path(json, path);
    if (!value || !value->is_number_integer()) return std::nullopt;
    return value->get<int>();
}

const Json* find_condition_of(const Json& object, std::string_view type) {
    for (const Json& condition : get_array(object, {"status", "conditions"})) {
        if (get_string(condition, {"type"}) == type) return &condition;
    }
    return nullptr;
}

bool condition_is(const Json& object, std::string_view type, std::string_view status) {
    const Json* condition = find_condition_of(object, type);
    return condition && get_string(*condition, {"status"}) == status;
}

ContainerStatus decode_container(const Json& json) {
    ContainerStatus out;
    out.name = get_string(json, {"name"});
    if (find_path(json, {"state", "running"})) {
        out.state = ContainerState::Running;
    } else if (const Json* waiting = find_path(json, {"state", "waiting"})) {
        out.state = ContainerState::Waiting;
        out.reason = get_string(*waiting, {"reason"});
        out.message = get_string(*waiting, {"message"});
    } else if (const Json* terminated = find_path(json, {"state", "terminated"})) {
        out.state = ContainerState::Terminated;
        out.reason = get_string(*terminated, {"reason"});
        out.message = get_string(*terminated, {"message"});
        out.exit_code = get_optional(*terminated, {"exitCode"});
    }
    return out;
}

std::vector<ContainerStatus> decode_containers(const Json& pod, const char* list) {
    std::vector<ContainerStatus> out;
    for (const Json& status : get_array(pod, {"status", list})) {
        out.push_back(decode_container(status));
    }
    return out;
}

// An object of type T with its metadata.
template <class T>
Result<T> start(const Json& object) {
    Result<Meta> meta = decode_meta(object);
    if (!meta) return meta.error();
    T out;
    static_cast<Meta&>(out) = std::move(*meta);
    return out;
}

const std::string& look_up(const StringMap& map, const std::string& name) {
    const auto found = map.find(name);
    return found == map.end() ? kNone : found->second;
}

}  // namespace

const std::string& Meta::label(const std::string& wanted) const {
    return look_up(labels, wanted);
}

const std::string& Meta::annotation(const std::string& wanted) const {
    return look_up(annotations, wanted);
}

Result<Meta> decode_meta(const Json& object) {
    Meta meta;
    meta.name = get_string(object, {"metadata", "name"});
    if (meta.name.empty()) {
        return make_error(ErrorKind::Invalid, "object without metadata.name",
                          get_string(object, {"kind"}));
    }
    meta.ns = get_string(object, {"metadata", "namespace"});
    meta.uid = get_string(object, {"metadata", "uid"});
    meta.resource_version = get_string(object, {"metadata", "resourceVersion"});
    meta.generation = get_int(object, {"metadata", "generation"});
    meta.labels = get_map(object, {"metadata", "labels"});
    meta.annotations = get_map(object, {"metadata", "annotations"});
    meta.annotations.erase(kLastApplied);
    meta.creation_timestamp = get_string(object, {"metadata", "creationTimestamp"});
    meta.deletion_timestamp = get_string(object, {"metadata", "deletionTimestamp"});
    for (const Json& owner : get_array(object, {"metadata", "ownerReferences"})) {
        if (get_bool(owner, {"controller"})) meta.owner_uid = get_string(owner, {"uid"});
    }
    for (const Json& finalizer : get_array(object, {"metadata", "finalizers"})) {
        if (finalizer.is_string()) meta.finalizers.push_back(finalizer.get<std::string>());
    }
    return meta;
}

Result<Pod> decode_pod(const Json& object) {
    Result<Pod> pod = start<Pod>(object);
    if (!pod) return pod;
    pod->node = get_string(object, {"spec", "nodeName"});
    pod->ip = get_string(object, {"status", "podIP"});
    pod->phase = get_string(object, {"status", "phase"});
    pod->reason = get_string(object, {"status", "reason"});
    pod->message = get_string(object, {"status", "message"});
    pod->ready = condition_is(object, "Ready", "True");
    if (condition_is(object, "PodScheduled", "False")) {
        const Json& condition = *find_condition_of(object, "PodScheduled");
        pod->unschedulable = get_string(condition, {"message"});
        if (pod->unschedulable.empty()) pod->unschedulable = get_string(condition, {"reason"});
    }
    pod->containers = decode_containers(object, "containerStatuses");
    pod->init_containers = decode_containers(object, "initContainerStatuses");
    return pod;
}

Result<StatefulSet> decode_stateful_set(const Json& object) {
    return start<StatefulSet>(object);
}

Result<Lease> decode_lease(const Json& object) {
    Result<Lease> lease = start<Lease>(object);
    if (!lease) return lease;
    lease->holder = get_string(object, {"spec", "holderIdentity"});
    lease->duration_seconds = get_small(object, {"spec", "leaseDurationSeconds"});
    lease->acquire_time = get_string(object, {"spec", "acquireTime"});
    lease->renew_time = get_string(object, {"spec", "renewTime"});
    lease->transitions = get_int(object, {"spec", "leaseTransitions"});
    return lease;
}

Result<Claim> decode_claim(const Json& object) {
    Result<Claim> claim = start<Claim>(object);
    if (!claim) return claim;
    claim->phase = get_string(object, {"status", "phase"});
    claim->requested = get_string(object, {"spec", "resources", "requests", "storage"});
    return claim;
}

Result<Node> decode_node(const Json& object) {
    Result<Node> node = start<Node>(object);
    if (!node) return node;
    node->ready = condition_is(object, "Ready", "True");
    node->unschedulable = get_bool(object, {"spec", "unschedulable"});
    for (const Json& taint : get_array(object, {"spec", "taints"})) {
        node->taints.push_back({get_string(taint, {"key"}), get_string(taint, {"value"}),
                                get_string(taint, {"effect"})});
    }
    return node;
}

Result<Secret> decode_secret(const Json& object) {
    Result<Secret> secret = start<Secret>(object);
    if (!secret) return secret;
    secret->type = get_string(object, {"type"});
    for (const auto& [key, text] : get_map(object, {"data"})) {
        std::optional<std::string> bytes = base64_decode(text);
        if (!bytes) {
            return make_error(ErrorKind::Invalid, "secret " + secret->key(),
                              "data." + key + " is not base64");
        }
        secret->data.emplace(key, std::move(*bytes));
    }
    return secret;
}

Result<ConfigMap> decode_config_map(const Json& object) {
    Result<ConfigMap> map = start<ConfigMap>(object);
    if (!map) return map;
    map->data = get_map(object, {"data"});
    return map;
}

Result<EndpointSlice> decode_endpoint_slice(const Json& object) {
    return start<EndpointSlice>(object);
}

Result<Service> decode_service(const Json& object) {
    return start<Service>(object);
}

Json encode_lease(const Lease& lease) {
    Json metadata = {{"name", lease.name}};
    if (!lease.ns.empty()) metadata["namespace"] = lease.ns;
    if (!lease.uid.empty()) metadata["uid"] = lease.uid;
    if (!lease.resource_version.empty()) metadata["resourceVersion"] = lease.resource_version;
    if (!lease.labels.empty()) metadata["labels"] = lease.labels;
    if (!lease.annotations.empty()) metadata["annotations"] = lease.annotations;
    if (!lease.finalizers.empty()) metadata["finalizers"] = lease.finalizers;
    Json spec = {{"leaseDurationSeconds", lease.duration_seconds},
                 {"leaseTransitions", lease.transitions}};
    if (!lease.holder.empty()) spec["holderIdentity"] = lease.holder;
    if (!lease.acquire_time.empty()) spec["acquireTime"] = lease.acquire_time;
    if (!lease.renew_time.empty()) spec["renewTime"] = lease.renew_time;
    return {{"apiVersion", kLeases.api_version()},
            {"kind", kLeases.kind},
            {"metadata", std::move(metadata)},
            {"spec", std::move(spec)}};
}

}  // namespace matriarch::kube
