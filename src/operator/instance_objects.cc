#include "operator/instance_objects.h"

#include <nlohmann/json.hpp>

#include "operator/names.h"
#include "operator/object_meta.h"
#include "operator/pod_template.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

Json claim_spec(const ClaimTemplate& claim) {
    Json out = {{"accessModes", Json::array({"ReadWriteOnce"})},
                {"volumeMode", "Filesystem"},
                {"resources", {{"requests", {{"storage", claim.size}}}}}};
    if (!claim.storage_class.empty()) out["storageClassName"] = claim.storage_class;
    return out;
}

}  // namespace

std::optional<ClaimTemplate> ClaimTemplate::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos || slash == 0) return {};
    return ClaimTemplate{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

Json stateful_set(const Cluster& cluster, const InstanceName& instance, const AgentImage& agent,
                  const ClaimTemplate& claim) {
    const std::string& name = cluster.key.name;
    Json out = owned_object(cluster, kube::kStatefulSets, stateful_set_name(instance),
                            instance_labels(name, instance));
    out["metadata"]["annotations"] = {{std::string(kClaimAnnotation), claim.str()}};
    out["spec"] = {{"replicas", 1},
                   {"serviceName", instances_service(name)},
                   {"podManagementPolicy", "Parallel"},
                   {"updateStrategy", {{"type", "OnDelete"}}},
                   {"revisionHistoryLimit", 2},
                   {"selector", {{"matchLabels", instance_selector(name, instance)}}},
                   // An instance that is scaled away and made again finds its data, and pg_rewind
                   // is faster than a clone.
                   {"persistentVolumeClaimRetentionPolicy",
                    {{"whenDeleted", cluster.spec.storage.keep_on_delete ? "Retain" : "Delete"},
                     {"whenScaled", "Retain"}}},
                   {"template", pod_template(cluster, instance, agent)},
                   // Immutable: labels in here must be the same in every version of the operator.
                   {"volumeClaimTemplates",
                    Json::array({{{"apiVersion", "v1"},
                                  {"kind", "PersistentVolumeClaim"},
                                  {"metadata",
                                   {{"name", "data"}, {"labels", instance_labels(name, instance)}}},
                                  {"spec", claim_spec(claim)}}})}};
    seal(out);
    return out;
}

Json volume_claim(const Cluster& cluster, const InstanceName& instance) {
    Json out = kept_object(cluster, kube::kClaims, claim_name(instance),
                           instance_labels(cluster.key.name, instance));
    out["spec"] = claim_spec(ClaimTemplate::of(cluster.spec.storage));
    return out;
}

Json volume_claim_growth(const Cluster& cluster, const InstanceName& instance) {
    Json out = kept_object(cluster, kube::kClaims, claim_name(instance),
                           instance_labels(cluster.key.name, instance));
    out["spec"]["resources"]["requests"]["storage"] = cluster.spec.storage.size;
    return out;
}

// Not in it: the agent's image, so that an upgrade of the operator restarts nothing; labels and
// annotations, which a pod can get while it runs; tolerations and spread, which matter only when a
// pod is scheduled the next time.
std::string restart_hash(const ClusterSpec& spec) {
    return hash_json({{"image", spec.image},
                      {"uid", spec.uid},
                      {"gid", spec.gid},
                      {"requests", spec.requests},
                      {"limits", spec.limits},
                      {"nodeSelector", spec.node_selector},
                      {"priorityClass", spec.priority_class}});
}

bool restart_needed(const std::string& running, const ClusterSpec& wanted) {
    return !running.empty() && running != restart_hash(wanted);
}

bool restart_needed(const ClusterSpec& old, const ClusterSpec& wanted) {
    return restart_needed(restart_hash(old), wanted);
}

}  // namespace matriarch::op
