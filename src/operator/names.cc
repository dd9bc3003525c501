#include "operator/names.h"

#include <algorithm>

namespace matriarch::op {
namespace {

// The StatefulSet controller puts "<StatefulSet>-<hash of 10>" into a label of the pod, and a label
// has 63 characters (kubernetes#64023). The rest is for "-" and an instance number of five digits.
// The schema allows 40, so this guards objects that a looser schema let through.
constexpr std::size_t kMaxClusterName = 63 - 11 - 6;

std::string join(std::string_view cluster, std::string_view suffix) {
    return std::string(cluster) + "-" + std::string(suffix);
}

bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string instances_service(std::string_view cluster) {
    return join(cluster, "instances");
}
std::string master_service(std::string_view cluster) {
    return join(cluster, "master");
}
std::string slaves_service(std::string_view cluster) {
    return join(cluster, "slaves");
}
std::string any_service(std::string_view cluster) {
    return join(cluster, "any");
}
std::string slave_service(std::string_view cluster, int position) {
    return join(cluster, position_name(position));
}
std::string app_secret(std::string_view cluster) {
    return join(cluster, "app");
}
std::string ca_secret(std::string_view cluster) {
    return join(cluster, "ca");
}
std::string lease_name(std::string_view cluster) {
    return std::string(cluster);
}
std::string disruption_budget_name(std::string_view cluster) {
    return std::string(cluster);
}
std::string agent_account(std::string_view cluster) {
    return join(cluster, "agent");
}

std::string pooler_name(std::string_view cluster) {
    return join(cluster, "pooler");
}

std::string stateful_set_name(const InstanceName& instance) {
    return instance.value;
}
std::string claim_name(const InstanceName& instance) {
    // <claim template>-<pod>: the StatefulSet controller's rule.
    return "data-" + pod_name(instance);
}
std::string tls_secret(const InstanceName& instance) {
    return join(instance.value, "tls");
}

std::vector<RouteService> route_services(std::string_view cluster, int slaves) {
    std::vector<RouteService> out = {{"master", master_service(cluster)},
                                     {"slaves", slaves_service(cluster)},
                                     {"any", any_service(cluster)}};
    for (int n = 1; n <= slaves; ++n)
        out.push_back({position_name(n), slave_service(cluster, n), n});
    return out;
}

std::string host_of(const ClusterKey& cluster, const InstanceName& instance) {
    return pod_name(instance) + "." + service_host(cluster, instances_service(cluster.name));
}

std::string service_host(const ClusterKey& cluster, std::string_view service) {
    return std::string(service) + "." + cluster.name_space + ".svc";
}

StringMap cluster_labels(std::string_view cluster, std::string_view component) {
    StringMap out = {{"app.kubernetes.io/name", "postgresql"},
                     {"app.kubernetes.io/instance", std::string(cluster)},
                     {std::string(kManagedByLabel), std::string(kManagedBy)},
                     {std::string(kClusterLabel), std::string(cluster)}};
    if (!component.empty()) out["app.kubernetes.io/component"] = component;
    return out;
}

StringMap instance_labels(std::string_view cluster, const InstanceName& instance) {
    StringMap out = cluster_labels(cluster, "instance");
    out[std::string(kInstanceLabel)] = instance.value;
    return out;
}

// Pods alone have an instance label, so Jobs of a cluster (backups) are not taken for instances.
StringMap cluster_selector(std::string_view cluster) {
    return {{std::string(kClusterLabel), std::string(cluster)},
            {"app.kubernetes.io/component", "instance"}};
}

StringMap pooler_selector(std::string_view cluster) {
    return {{std::string(kClusterLabel), std::string(cluster)},
            {"app.kubernetes.io/component", std::string(kPoolerComponent)}};
}

StringMap instance_selector(std::string_view cluster, const InstanceName& instance) {
    StringMap out = cluster_selector(cluster);
    out[std::string(kInstanceLabel)] = instance.value;
    return out;
}

std::string selector_text(std::string_view cluster) {
    std::string out;
    for (const auto& [label, value] : cluster_selector(cluster))
        out += (out.empty() ? "" : ",") + label + "=" + value;
    return out;
}

std::optional<std::string> name_problem(std::string_view cluster) {
    if (cluster.size() > kMaxClusterName)
        return "metadata.name \"" + std::string(cluster) + "\" has " +
               std::to_string(cluster.size()) + " characters, and names made from it would exceed" +
               " Kubernetes' limit of 63: create the cluster under a name of at most 40";
    // Service names are DNS labels that start with a letter (RFC 1035): no dots, unlike other
    // names.
    const bool fits = !cluster.empty() && cluster.front() >= 'a' && cluster.front() <= 'z' &&
                      cluster.back() != '-' &&
                      std::all_of(cluster.begin(), cluster.end(),
                                  [](char c) { return is_lower_alnum(c) || c == '-'; });
    if (!fits)
        return "metadata.name \"" + std::string(cluster) + "\" can't start the name of a Service:" +
               " create the cluster under a name of lower-case letters, digits and '-' that "
               "begins" +
               " with a letter and does not end with '-'";
    return {};
}

}  // namespace matriarch::op
