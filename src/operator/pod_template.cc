#include "operator/pod_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "model/report.h"
#include "operator/names.h"
#include "operator/pod_parts.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

// A kill by the kubelet is a failover: only an agent that hangs for a minute is worth it.
constexpr int kLivenessPeriod = 10, kLivenessFailures = 6, kProbeTimeout = 5;
constexpr int kReadinessPeriod = 2, kReadinessTimeout = 2, kReadinessFailures = 3;
constexpr int kStartupPeriod = 1, kStartupFailures = 120;

Json environment(const Cluster& cluster, const InstanceName& instance) {
    return {from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_UID", "metadata.uid"),
            from_field("POD_IP", "status.podIP"),
            from_field("NODE_NAME", "spec.nodeName"),
            {{"name", "MATRIARCH_CLUSTER"}, {"value", cluster.key.name}},
            {{"name", "MATRIARCH_INSTANCE"}, {"value", instance.value}},
            {{"name", "MATRIARCH_GRACE_SECONDS"}, {"value", std::to_string(kGraceSeconds)}}};
}

Json volumes(const InstanceName& instance) {
    const Json memory = {{"medium", "Memory"}};
    return {{{"name", "agent"}, {"emptyDir", Json::object()}},
            {{"name", "run"}, {"emptyDir", memory}},
            {{"name", "tmp"}, {"emptyDir", Json::object()}},
            {{"name", "shm"}, {"emptyDir", memory}},
            {{"name", "tls"},
             {"secret", {{"secretName", tls_secret(instance)}, {"defaultMode", kReadableByGroup}}}},
            token_volume()};
}

Json mounts() {
    return {mount("data", "/var/lib/matriarch"), mount("agent", "/matriarch", true),
            // Any uid: libpq, initdb and pg_basebackup refuse a user without a passwd entry.
            mount("agent", "/etc/passwd", true, "etc/passwd"),
            mount("agent", "/etc/group", true, "etc/group"),
            mount("tls", "/etc/matriarch/tls", true), mount("run", "/run/matriarch"),
            mount("tmp", "/tmp"),
            // The runtime's own has 64 MiB, too little for parallel queries.
            mount("shm", "/dev/shm"), mount("token", kTokenPath, true)};
}

Json postgres_container(const Cluster& cluster, const InstanceName& instance) {
    const ClusterSpec& spec = cluster.spec;
    return {{"name", "postgres"},
            {"image", spec.image},
            {"imagePullPolicy", spec.image_pull_policy},
            {"command", installed_command("matriarch-agent")},
            {"env", environment(cluster, instance)},
            {"ports",
             {container_port("postgres", kPostgresPort), container_port("agent", kAgentPort),
              container_port("health", kAgentHealthPort)}},
            {"resources", resources(spec.requests, spec.limits)},
            {"securityContext", container_security()},
            {"terminationMessagePolicy", "FallbackToLogsOnError"},
            {"startupProbe", probe("/healthz", kStartupPeriod, kProbeTimeout, kStartupFailures)},
            {"livenessProbe", probe("/healthz", kLivenessPeriod, kProbeTimeout, kLivenessFailures)},
            {"readinessProbe",
             probe("/readyz", kReadinessPeriod, kReadinessTimeout, kReadinessFailures)},
            {"volumeMounts", mounts()}};
}

// A pod on a dead node is no more alive for being deleted, the operator fails over without it, and
// when the node comes back its PostgreSQL needs no restart. Kubernetes would delete it after 300 s;
// an administrator's out-of-service taint still does.
Json tolerations(const ClusterSpec& spec) {
    Json out = kube::parse_json(spec.tolerations_json).value_or(Json::array());
    if (!out.is_array()) out = Json::array();
    for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
        const bool told = std::any_of(out.begin(), out.end(), [&](const Json& t) {
            const std::string theirs = kube::get_string(t, {"key"});
            const std::string effect = kube::get_string(t, {"effect"});
            return (theirs == key || theirs.empty()) && (effect == "NoExecute" || effect.empty());
        });
        if (!told) out.push_back({{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}});
    }
    return out;
}

Json pod_metadata(const Cluster& cluster, const InstanceName& instance) {
    // Ours win: selectors and the restart rule depend on them.
    StringMap labels = instance_labels(cluster.key.name, instance);
    labels.insert(cluster.spec.pod_labels.begin(), cluster.spec.pod_labels.end());
    StringMap annotations = {{std::string(kRestartHashAnnotation), restart_hash(cluster.spec)},
                             {"kubectl.kubernetes.io/default-container", "postgres"}};
    annotations.insert(cluster.spec.pod_annotations.begin(), cluster.spec.pod_annotations.end());
    return {{"labels", labels}, {"annotations", annotations}};
}

}  // namespace

Json pod_template(const Cluster& cluster, const InstanceName& instance, const AgentImage& agent) {
    const ClusterSpec& spec = cluster.spec;
    Json pod = {{"serviceAccountName", agent_account(cluster.key.name)},
                {"automountServiceAccountToken", false},
                {"enableServiceLinks", false},
                // The agent is PID 1 of its container: it reaps, and its death ends everything.
                {"shareProcessNamespace", false},
                {"terminationGracePeriodSeconds", kGraceSeconds},
                {"securityContext", pod_security(spec.uid, spec.gid)},
                {"tolerations", tolerations(spec)},
                {"initContainers",
                 Json::array({install_container("matriarch-agent", spec.uid, spec.gid,
                                                resources(spec.requests, spec.limits), agent)})},
                {"containers", Json::array({postgres_container(cluster, instance)})},
                {"volumes", volumes(instance)}};
    if (spec.spread != Spread::None)
        pod["affinity"] =
            apart(cluster, cluster_selector(cluster.key.name), spec.spread == Spread::Required);
    place(pod, spec);
    return {{"metadata", pod_metadata(cluster, instance)}, {"spec", std::move(pod)}};
}

}  // namespace matriarch::op
