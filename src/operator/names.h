// Every name, label and annotation that the operator gives to an object, in one place.
//
// Names are functions of the cluster's and the instance's name, so that a write that is done twice
// hits the same object (INV-9), and so that people can find things by hand. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ids.h"
#include "model/pooler.h"
#include "model/spec.h"

namespace matriarch::op {

inline constexpr std::string_view kManagedBy = "matriarch";
inline constexpr std::string_view kClusterApiVersion = "matriarch.dev/v1alpha1";
inline constexpr std::string_view kClusterKind = "PostgresCluster";

// Labels.
inline constexpr std::string_view kClusterLabel = "matriarch.dev/cluster";
inline constexpr std::string_view kInstanceLabel = "matriarch.dev/instance";
inline constexpr std::string_view kRoleLabel = "matriarch.dev/role";  // pods: master, slave, none
inline constexpr std::string_view kManagedByLabel = "app.kubernetes.io/managed-by";

// Annotations.
inline constexpr std::string_view kContentHashAnnotation = "matriarch.dev/content-hash";
inline constexpr std::string_view kRestartHashAnnotation = "matriarch.dev/restart-hash";
inline constexpr std::string_view kClaimAnnotation = "matriarch.dev/claim-template";
inline constexpr std::string_view kAddressTypeAnnotation = "matriarch.dev/address-type";
inline constexpr std::string_view kStampAnnotation = "matriarch.dev/stamp";  // "epoch.sequence"

inline constexpr int kPostgresPort = 5432;
inline constexpr int kPoolerPort = 6432;
inline constexpr std::string_view kPoolerComponent = "pooler";
// Positions that the schema allows (spec.slaves <= 15).
inline constexpr int kMaxSlaves = 15;

// Per cluster.
std::string instances_service(std::string_view cluster);  // headless, for the pods' DNS names
std::string master_service(std::string_view cluster);
std::string slaves_service(std::string_view cluster);
std::string any_service(std::string_view cluster);
std::string slave_service(std::string_view cluster, int position);
std::string app_secret(std::string_view cluster);
std::string ca_secret(std::string_view cluster);
std::string lease_name(std::string_view cluster);
std::string disruption_budget_name(std::string_view cluster);
std::string agent_account(std::string_view cluster);  // ServiceAccount, Role and RoleBinding
// The pooler's Deployment, Service, Secret, ServiceAccount, Role, RoleBinding, PodDisruptionBudget.
std::string pooler_name(std::string_view cluster);
using matriarch::pooler_words;
using matriarch::routing_config_map;

// Per instance.
std::string stateful_set_name(const InstanceName& instance);
std::string claim_name(const InstanceName& instance);
std::string tls_secret(const InstanceName& instance);

// The Services that lead to PostgreSQL, with their short names (the keys of
// spec.services.nodePorts).
struct RouteService {
    std::string short_name;  // master, slaves, any, slave1, ...
    std::string name;
    int position = 0;  // of slaveN, else 0
};
std::vector<RouteService> route_services(std::string_view cluster, int slaves);

// orders-2-0.orders-instances.shop.svc: without the cluster's domain, which not everybody knows.
std::string host_of(const ClusterKey& cluster, const InstanceName& instance);
std::string service_host(const ClusterKey& cluster, std::string_view service);

// `component` may be empty. Instances have all of the cluster's labels and their own.
StringMap cluster_labels(std::string_view cluster, std::string_view component = {});
StringMap instance_labels(std::string_view cluster, const InstanceName& instance);
// What selects all pods of a cluster, and of one instance: these never change.
StringMap cluster_selector(std::string_view cluster);
StringMap pooler_selector(std::string_view cluster);
StringMap instance_selector(std::string_view cluster, const InstanceName& instance);
// "matriarch.dev/cluster=orders", for status.selector and for lists.
std::string selector_text(std::string_view cluster);

// Why no cluster can have this name, and what to do; nothing if it can.
std::optional<std::string> name_problem(std::string_view cluster);

}  // namespace matriarch::op
