#include "operator/cluster_objects.h"

#include <nlohmann/json.hpp>

#include "model/report.h"
#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

Json service_port(const char* name, int port) {
    return {{"name", name}, {"port", port}, {"targetPort", port}, {"protocol", "TCP"}};
}

}  // namespace

Json instances_service_object(const Cluster& cluster) {
    const std::string& name = cluster.key.name;
    Json out = owned_object(cluster, kube::kServices, instances_service(name),
                            cluster_labels(name, "instances"));
    out["spec"] = {
        {"clusterIP", "None"},
        {"publishNotReadyAddresses", true},
        {"selector", cluster_selector(name)},
        {"ports", {service_port("postgres", kPostgresPort), service_port("agent", kAgentPort)}}};
    seal(out);
    return out;
}

Json outward_service(const Cluster& cluster, const std::string& name, const std::string& short_name,
                     const char* component, const char* port_name, int port_number) {
    const ServicesSpec& spec = cluster.spec.services;
    Json out =
        owned_object(cluster, kube::kServices, name, cluster_labels(cluster.key.name, component));
    if (!spec.annotations.empty()) out["metadata"]["annotations"] = spec.annotations;
    Json port = service_port(port_name, port_number);
    const auto node_port = spec.node_ports.find(short_name);
    if (spec.type != "ClusterIP" && node_port != spec.node_ports.end())
        port["nodePort"] = node_port->second;
    out["spec"] = {{"type", spec.type}, {"ports", Json::array({port})}};
    if (spec.type == "LoadBalancer" && !spec.source_ranges.empty())
        out["spec"]["loadBalancerSourceRanges"] = spec.source_ranges;
    return out;
}

Json route_service_object(const Cluster& cluster, const RouteService& service) {
    Json out = outward_service(cluster, service.name, service.short_name, "route", "postgres",
                               kPostgresPort);
    seal(out);
    return out;
}

Json disruption_budget(const Cluster& cluster) {
    const std::string& name = cluster.key.name;
    Json out = owned_object(cluster, kube::kDisruptionBudgets, disruption_budget_name(name),
                            cluster_labels(name, "disruption-budget"));
    // All but one. Not maxUnavailable: that is counted from the pods that exist, so while one pod
    // is being made again it would let a second one go.
    out["spec"] = {{"minAvailable", cluster.spec.slaves},
                   {"selector", {{"matchLabels", cluster_selector(name)}}}};
    seal(out);
    return out;
}

Account agents_account(const Cluster& cluster) {
    const std::string& name = cluster.key.name;
    // Renewing the record is the master's own way to a mandate; `create` can't be limited to a
    // name.
    return {agent_account(name), "agent",
            Json::array({{{"apiGroups", {"coordination.k8s.io"}},
                          {"resources", {"leases"}},
                          {"resourceNames", {lease_name(name)}},
                          {"verbs", {"get", "update", "patch"}}}})};
}

Json service_account(const Cluster& cluster, const Account& account) {
    Json out = owned_object(cluster, kube::kServiceAccounts, account.name,
                            cluster_labels(cluster.key.name, account.component));
    out["automountServiceAccountToken"] = false;
    seal(out);
    return out;
}

Json role(const Cluster& cluster, const Account& account) {
    Json out = owned_object(cluster, kube::kRoles, account.name,
                            cluster_labels(cluster.key.name, account.component));
    out["rules"] = account.rules;
    seal(out);
    return out;
}

Json role_binding(const Cluster& cluster, const Account& account) {
    Json out = owned_object(cluster, kube::kRoleBindings, account.name,
                            cluster_labels(cluster.key.name, account.component));
    out["roleRef"] = {
        {"apiGroup", kube::kRoles.group}, {"kind", kube::kRoles.kind}, {"name", account.name}};
    out["subjects"] = Json::array({{{"kind", kube::kServiceAccounts.kind},
                                    {"name", account.name},
                                    {"namespace", cluster.key.name_space}}});
    seal(out);
    return out;
}

}  // namespace matriarch::op
