#include "operator/pooler_objects.h"

#include <nlohmann/json.hpp>

#include "model/pooler.h"
#include "operator/names.h"
#include "operator/object_meta.h"
#include "operator/pod_parts.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

// Clients get so long to leave a pooler that ends, and its Service so long to lose it.
constexpr int kPoolerGraceSeconds = 60;
constexpr int kLivenessPeriod = 10, kLivenessFailures = 6, kProbeTimeout = 5;
constexpr int kReadinessPeriod = 1, kReadinessTimeout = 2, kReadinessFailures = 3;

// Under the pooler's own name, unless another one is said.
Json pooler_object(const Cluster& cluster, const kube::Resource& resource, std::string name = {}) {
    if (name.empty()) name = pooler_name(cluster.key.name);
    return owned_object(cluster, resource, name,
                        cluster_labels(cluster.key.name, kPoolerComponent));
}

Json pooler_container(const Cluster& cluster) {
    const PoolerSpec& spec = cluster.spec.pooler;
    return {
        {"name", "pgbouncer"},
        {"image", spec.image},
        {"imagePullPolicy", cluster.spec.image_pull_policy},
        {"command", installed_command("matriarch-pooler")},
        {"env",
         {from_field("POD_NAME", "metadata.name"),
          from_field("POD_NAMESPACE", "metadata.namespace"),
          {{"name", "MATRIARCH_CLUSTER"}, {"value", cluster.key.name}},
          {{"name", "MATRIARCH_DATABASE"}, {"value", cluster.spec.database}},
          {{"name", "MATRIARCH_GRACE_SECONDS"}, {"value", std::to_string(kPoolerGraceSeconds)}}}},
        {"ports",
         {container_port("pgbouncer", kPoolerPort), container_port("health", kPoolerHealthPort)}},
        {"resources", resources(spec.requests, spec.limits)},
        {"securityContext", container_security()},
        {"terminationMessagePolicy", "FallbackToLogsOnError"},
        {"livenessProbe", probe("/healthz", kLivenessPeriod, kProbeTimeout, kLivenessFailures)},
        {"readinessProbe",
         probe("/readyz", kReadinessPeriod, kReadinessTimeout, kReadinessFailures)},
        {"volumeMounts",
         {mount("agent", "/matriarch", true), mount("secret", "/etc/matriarch/pooler", true),
          mount("run", "/run/matriarch"), mount("tmp", "/tmp"), mount("token", kTokenPath, true)}}};
}

}  // namespace

std::string pooler_settings(const Cluster& cluster) {
    const PoolerSpec& spec = cluster.spec.pooler;
    const auto& external = cluster.spec.external;
    StringMap settings = {
        {"pool_mode", std::string(to_string(spec.mode))},
        {"max_client_conn", std::to_string(spec.max_client_connections)},
        {"default_pool_size", std::to_string(spec.pool_size)},
        // Named statements of asyncpg, pgx and JDBC in transaction mode: from PgBouncer 1.21.
        {"max_prepared_statements", "200"},
        // Drivers send it with every connection, and it can't be set per transaction.
        {"ignore_startup_parameters", "extra_float_digits"},
        {"auth_type", "scram-sha-256"},
        // A master that was lost answers nobody: try again soon.
        {"server_connect_timeout", "3"},
        {"server_login_retry", "0.2"},
        // As long as the default mandate: by then a silent master is over.
        {"tcp_user_timeout", "3000"},
        {"tcp_keepidle", "1"},
        {"tcp_keepintvl", "1"},
        // All connections to slaves in turn, not the last one again.
        {"server_round_robin", "1"},
        // Each client's coming and going is no news.
        {"log_connections", "0"},
        {"log_disconnections", "0"},
    };
    for (const auto& [name, value] : spec.parameters) settings[name] = value;
    // Nothing is made in databases that run elsewhere: there the topology's own user is all.
    if (!external) {
        settings["auth_user"] = kPoolerRole;
        settings["auth_query"] =
            "SELECT usename, passwd FROM " + std::string(kPoolerLookup) + "($1)";
    }
    // One for all endpoints: the schema refuses others beside a pooler.
    settings[std::string(kServerTlsSetting)] =
        to_string(external ? external->endpoints.front().ssl_mode : SslMode::VerifyCa);
    std::string out = "[pgbouncer]\n";
    for (const auto& [name, value] : settings) out += name + " = " + value + "\n";
    return out;
}

// Double quotes are doubled.
std::string userlist(const std::string& user, const std::string& password) {
    const auto quote = [](const std::string& text) {
        std::string out = "\"";
        for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
        return out + "\"";
    };
    return quote(user) + " " + quote(password) + "\n";
}

Json pooler_deployment(const Cluster& cluster, const AgentImage& agent) {
    const ClusterSpec& spec = cluster.spec;
    const std::string& name = cluster.key.name;
    const Json memory = {{"medium", "Memory"}};
    Json pod = {
        {"serviceAccountName", pooler_name(name)},
        {"automountServiceAccountToken", false},
        {"enableServiceLinks", false},
        {"terminationGracePeriodSeconds", kPoolerGraceSeconds},
        {"securityContext", pod_security(spec.uid, spec.gid)},
        {"affinity", apart(cluster, pooler_selector(name), false)},
        {"initContainers", Json::array({install_container(
                               "matriarch-pooler", spec.uid, spec.gid,
                               resources(spec.pooler.requests, spec.pooler.limits), agent)})},
        {"containers", Json::array({pooler_container(cluster)})},
        {"volumes",
         {{{"name", "agent"}, {"emptyDir", Json::object()}},
          {{"name", "run"}, {"emptyDir", memory}},
          {{"name", "tmp"}, {"emptyDir", Json::object()}},
          {{"name", "secret"},
           {"secret", {{"secretName", pooler_name(name)}, {"defaultMode", kReadableByGroup}}}},
          token_volume()}}};
    place(pod, spec);

    Json out = pooler_object(cluster, kube::kDeployments);
    const Json labels = out["metadata"]["labels"];
    out["spec"] = {
        {"replicas", spec.pooler.instances},
        {"revisionHistoryLimit", 2},
        {"selector", {{"matchLabels", pooler_selector(name)}}},
        // The new one first: clients always have all of them.
        {"strategy",
         {{"type", "RollingUpdate"}, {"rollingUpdate", {{"maxUnavailable", 0}, {"maxSurge", 1}}}}},
        {"template", {{"metadata", {{"labels", labels}}}, {"spec", std::move(pod)}}}};
    seal(out);
    return out;
}

Json pooler_service(const Cluster& cluster) {
    const std::string& name = cluster.key.name;
    Json out =
        outward_service(cluster, pooler_name(name), "pooler", "pooler", "pgbouncer", kPoolerPort);
    out["spec"]["selector"] = pooler_selector(name);
    seal(out);
    return out;
}

Json pooler_budget(const Cluster& cluster) {
    Json out = pooler_object(cluster, kube::kDisruptionBudgets);
    out["spec"] = {{"maxUnavailable", 1},
                   {"selector", {{"matchLabels", pooler_selector(cluster.key.name)}}}};
    seal(out);
    return out;
}

Json pooler_words_object(const Cluster& cluster) {
    Json out = pooler_object(cluster, kube::kConfigMaps, pooler_words(cluster.key.name));
    seal(out);
    return out;
}

Account pooler_account(const Cluster& cluster) {
    const std::string& name = cluster.key.name;
    const auto may = [](const std::string& map, std::vector<std::string> verbs) -> Json {
        return {{"apiGroups", {""}},
                {"resources", {"configmaps"}},
                {"resourceNames", {map}},
                {"verbs", std::move(verbs)}};
    };
    return {pooler_name(name), std::string(kPoolerComponent),
            Json::array({may(routing_config_map(name), {"get", "list", "watch"}),
                         may(pooler_words(name), {"get", "patch"})})};
}

}  // namespace matriarch::op
