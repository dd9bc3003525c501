#include "operator/pod_parts.h"

#include <nlohmann/json.hpp>

#include "operator/names.h"

namespace matriarch::op {
namespace {

// What the kubelet itself asks for: an hour, and some seconds to tell the two apart.
constexpr int kTokenSeconds = 3607;

}  // namespace

using Json = nlohmann::json;

Json resources(const StringMap& requests, const StringMap& limits) {
    Json out = Json::object();
    if (!requests.empty()) out["requests"] = requests;
    if (!limits.empty()) out["limits"] = limits;
    return out;
}

Json pod_security(std::int64_t uid, std::int64_t gid) {
    return {{"runAsNonRoot", true},
            {"runAsUser", uid},
            {"runAsGroup", gid},
            {"fsGroup", gid},
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

Json container_port(const char* name, int number) {
    return {{"name", name}, {"containerPort", number}, {"protocol", "TCP"}};
}

Json from_field(const char* name, const char* path) {
    return {{"name", name},
            {"valueFrom", {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}}}};
}

Json mount(const char* volume, const char* path, bool read_only, const char* sub_path) {
    Json out = {{"name", volume}, {"mountPath", path}};
    if (read_only) out["readOnly"] = true;
    if (sub_path) out["subPath"] = sub_path;
    return out;
}

Json token_volume() {
    const Json sources = {
        {{"serviceAccountToken", {{"path", "token"}, {"expirationSeconds", kTokenSeconds}}}},
        {{"configMap",
          {{"name", "kube-root-ca.crt"},
           {"items", Json::array({{{"key", "ca.crt"}, {"path", "ca.crt"}}})}}}},
        {{"downwardAPI",
          {{"items",
            Json::array(
                {{{"path", "namespace"},
                  {"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", "metadata.namespace"}}}}})}}}}};
    return {{"name", "token"},
            {"projected", {{"defaultMode", kReadableByGroup}, {"sources", sources}}}};
}

Json install_container(const std::string& program, std::int64_t uid, std::int64_t gid,
                       const Json& resources, const AgentImage& agent) {
    return {{"name", "install-" + program.substr(program.rfind('-') + 1)},
            {"image", agent.image},
            {"imagePullPolicy", agent.pull_policy},
            {"command",
             {program, "install", "/matriarch", "--uid", std::to_string(uid), "--gid",
              std::to_string(gid)}},
            // As the main container's: it costs nothing, and a quota wants it of every container.
            {"resources", resources},
            {"securityContext", container_security()},
            {"terminationMessagePolicy", "FallbackToLogsOnError"},
            {"volumeMounts", Json::array({mount("agent", "/matriarch")})}};
}

// Its own loader and libraries: the image's C library may be older or another.
Json installed_command(const std::string& program) {
    return {"/matriarch/lib/ld.so", "--library-path", "/matriarch/lib", "/matriarch/bin/" + program,
            "run"};
}

void place(Json& pod, const ClusterSpec& spec) {
    if (!spec.node_selector.empty()) pod["nodeSelector"] = spec.node_selector;
    if (!spec.priority_class.empty()) pod["priorityClassName"] = spec.priority_class;
    for (const std::string& secret : spec.image_pull_secrets)
        pod["imagePullSecrets"].push_back({{"name", secret}});
}

Json apart(const Cluster& cluster, const StringMap& selector, bool required) {
    const Json term = {{"topologyKey", cluster.spec.topology_key},
                       {"labelSelector", {{"matchLabels", selector}}}};
    if (required)
        return {{"podAntiAffinity",
                 {{"requiredDuringSchedulingIgnoredDuringExecution", Json::array({term})}}}};
    return {{"podAntiAffinity",
             {{"preferredDuringSchedulingIgnoredDuringExecution",
               Json::array({{{"weight", 100}, {"podAffinityTerm", term}}})}}}};
}

}  // namespace matriarch::op
