#include "operator/pod_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "model/report.h"
#include "operator/names.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

constexpr int kReadableByGroup = 0440;  // fsGroup makes the group that of the agent
// What the kubelet itself asks for: an hour, and some seconds to tell the two apart.
constexpr int kTokenSeconds = 3607;
// A kill by the kubelet is a failover: only an agent that hangs for a minute is worth it.
constexpr int kLivenessPeriod = 10, kLivenessFailures = 6, kProbeTimeout = 5;
constexpr int kReadinessPeriod = 2, kReadinessTimeout = 2, kReadinessFailures = 3;
constexpr int kStartupPeriod = 1, kStartupFailures = 120;

Json resources(const ClusterSpec& spec) {
    Json out = Json::object();
    if (!spec.requests.empty()) out["requests"] = spec.requests;
    if (!spec.limits.empty()) out["limits"] = spec.limits;
    return out;
}

Json pod_security(const ClusterSpec& spec) {
    return {{"runAsNonRoot", true},
            {"runAsUser", spec.uid},
            {"runAsGroup", spec.gid},
            {"fsGroup", spec.gid},
            // A full chown of a large volume at each start would take minutes.
            {"fsGroupChangePolicy", "OnRootMismatch"},
            {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

Json container_security() {
    return {
        {"allowPrivilegeEscalation", false},   {"privileged", false},
        {"readOnlyRootFilesystem", true},      {"runAsNonRoot", true},
        {"capabilities", {{"drop", {"ALL"}}}}, {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

Json probe(std::string_view path, int period, int timeout, int failures) {
    return {{"httpGet", {{"path", path}, {"port", "health"}, {"scheme", "HTTP"}}},
            {"periodSeconds", period},
            {"timeoutSeconds", timeout},
            {"failureThreshold", failures},
            {"successThreshold", 1}};
}

Json from_field(const char* name, const char* path) {
    return {{"name", name},
            {"valueFrom", {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}}}};
}

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
    // The agent's token as the in-cluster convention has it, but for the postgres container alone.
    const Json token = {
        {"defaultMode", kReadableByGroup},
        {"sources",
         {{{"serviceAccountToken", {{"path", "token"}, {"expirationSeconds", kTokenSeconds}}}},
          {{"configMap",
            {{"name", "kube-root-ca.crt"},
             {"items", Json::array({{{"key", "ca.crt"}, {"path", "ca.crt"}}})}}}},
          {{"downwardAPI",
            {{"items",
              Json::array({{{"path", "namespace"},
                            {"fieldRef",
                             {{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}}}}})}}}}}}};
    return {{{"name", "agent"}, {"emptyDir", Json::object()}},
            {{"name", "run"}, {"emptyDir", memory}},
            {{"name", "tmp"}, {"emptyDir", Json::object()}},
            {{"name", "shm"}, {"emptyDir", memory}},
            {{"name", "tls"},
             {"secret", {{"secretName", tls_secret(instance)}, {"defaultMode", kReadableByGroup}}}},
            {{"name", "token"}, {"projected", token}}};
}

Json mount(const char* volume, const char* path, bool read_only = false,
           const char* sub_path = nullptr) {
    Json out = {{"name", volume}, {"mountPath", path}};
    if (read_only) out["readOnly"] = true;
    if (sub_path) out["subPath"] = sub_path;
    return out;
}

Json mounts() {
    return {mount("data", "/var/lib/matriarch"), mount("agent", "/matriarch", true),
            // Any uid: libpq, initdb and pg_basebackup refuse a user without a passwd entry.
            mount("agent", "/etc/passwd", true, "etc/passwd"),
            mount("agent", "/etc/group", true, "etc/group"),
            mount("tls", "/etc/matriarch/tls", true), mount("run", "/run/matriarch"),
            mount("tmp", "/tmp"),
            // The runtime's own has 64 MiB, too little for parallel queries.
            mount("shm", "/dev/shm"),
            mount("token", "/var/run/secrets/kubernetes.io/serviceaccount", true)};
}

Json init_container(const ClusterSpec& spec, const AgentImage& agent) {
    return {{"name", "install-agent"},
            {"image", agent.image},
            {"imagePullPolicy", agent.pull_policy},
            {"command",
             {"matriarch-agent", "install", "/matriarch", "--uid", std::to_string(spec.uid),
              "--gid", std::to_string(spec.gid)}},
            // As the main container's: it costs nothing, and a quota wants it of every container.
            {"resources", resources(spec)},
            {"securityContext", container_security()},
            {"terminationMessagePolicy", "FallbackToLogsOnError"},
            {"volumeMounts", Json::array({mount("agent", "/matriarch")})}};
}

Json postgres_container(const Cluster& cluster, const InstanceName& instance) {
    const ClusterSpec& spec = cluster.spec;
    const auto port = [](const char* name, int number) -> Json {
        return {{"name", name}, {"containerPort", number}, {"protocol", "TCP"}};
    };
    return {{"name", "postgres"},
            {"image", spec.image},
            {"imagePullPolicy", spec.image_pull_policy},
            // The agent's own loader and libraries: the image's C library may be older or another.
            {"command",
             {"/matriarch/lib/ld.so", "--library-path", "/matriarch/lib",
              "/matriarch/bin/matriarch-agent", "run"}},
            {"env", environment(cluster, instance)},
            {"ports",
             {port("postgres", kPostgresPort), port("agent", kAgentPort),
              port("health", kAgentHealthPort)}},
            {"resources", resources(spec)},
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

// Anti-affinity, not topology spread constraints: "required" means never two instances on one node,
// while a skew of 1 allows a second one as soon as every node has its first.
Json affinity(const Cluster& cluster) {
    const Json term = {{"topologyKey", cluster.spec.topology_key},
                       {"labelSelector", {{"matchLabels", cluster_selector(cluster.key.name)}}}};
    if (cluster.spec.spread == Spread::Required)
        return {{"podAntiAffinity",
                 {{"requiredDuringSchedulingIgnoredDuringExecution", Json::array({term})}}}};
    return {{"podAntiAffinity",
             {{"preferredDuringSchedulingIgnoredDuringExecution",
               Json::array({{{"weight", 100}, {"podAffinityTerm", term}}})}}}};
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
                {"securityContext", pod_security(spec)},
                {"tolerations", tolerations(spec)},
                {"initContainers", Json::array({init_container(spec, agent)})},
                {"containers", Json::array({postgres_container(cluster, instance)})},
                {"volumes", volumes(instance)}};
    if (spec.spread != Spread::None) pod["affinity"] = affinity(cluster);
    if (!spec.node_selector.empty()) pod["nodeSelector"] = spec.node_selector;
    if (!spec.priority_class.empty()) pod["priorityClassName"] = spec.priority_class;
    for (const std::string& secret : spec.image_pull_secrets)
        pod["imagePullSecrets"].push_back({{"name", secret}});
    return {{"metadata", pod_metadata(cluster, instance)}, {"spec", std::move(pod)}};
}

}  // namespace matriarch::op
