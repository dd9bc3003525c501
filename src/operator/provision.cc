#include "operator/provision.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "operator/cluster_objects.h"
#include "operator/names.h"
#include "operator/object_meta.h"
#include "operator/plan_write.h"
#include "operator/pooler_objects.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

void plan_account(WritePlanner& plan, const Cluster& cluster, const Account& account) {
    plan.apply(kube::kServiceAccounts, service_account(cluster, account));
    plan.apply(kube::kRoles, role(cluster, account));
    plan.apply(kube::kRoleBindings, role_binding(cluster, account));
}

void plan_poolers(WritePlanner& plan, const Cluster& cluster, const AgentImage& agent) {
    const std::string name = pooler_name(cluster.key.name);
    if (cluster.spec.pooler.wanted()) {
        plan_account(plan, cluster, pooler_account(cluster));
        plan.apply(kube::kConfigMaps, pooler_words_object(cluster));
        plan.apply(kube::kServices, pooler_service(cluster));
        plan.apply(kube::kDeployments, pooler_deployment(cluster, agent));
        plan.apply(kube::kDisruptionBudgets, pooler_budget(cluster));
        return;
    }
    for (const auto& kind : {kube::kDisruptionBudgets, kube::kDeployments, kube::kRoleBindings,
                             kube::kRoles, kube::kServiceAccounts, kube::kSecrets})
        plan.remove(kind, name);
    plan.remove(kube::kConfigMaps, pooler_words(cluster.key.name));
    // Last: it tells that the others may still be there (has_poolers).
    plan.remove(kube::kServices, name);
}

void plan_route_services(WritePlanner& plan, const Cluster& cluster) {
    for (const RouteService& service : route_services(cluster.key.name, cluster.spec.slaves))
        plan.apply(kube::kServices, route_service_object(cluster, service));
}

// Objects that depend on the spec only.
void plan_cluster_objects(WritePlanner& plan, const Cluster& cluster) {
    plan_account(plan, cluster, agents_account(cluster));
    plan.apply(kube::kServices, instances_service_object(cluster));
    plan_route_services(plan, cluster);
    plan.apply(kube::kDisruptionBudgets, disruption_budget(cluster));
}

// Positions above spec.slaves, with their EndpointSlices, which have the Service's name.
void plan_leftover_positions(WritePlanner& plan, const Cluster& cluster) {
    for (int n = cluster.spec.slaves + 1; n <= kMaxSlaves; ++n) {
        plan.remove(kube::kServices, slave_service(cluster.key.name, n));
        plan.remove(kube::kEndpointSlices, slave_service(cluster.key.name, n));
    }
}

// Claims have no owner (or their StatefulSet); their labels say whose they are.
bool is_ours(const kube::Claim& claim, const InstanceName& instance) {
    return claim.label(std::string(kManagedByLabel)) == kManagedBy &&
           claim.label(std::string(kInstanceLabel)) == instance.value;
}

// False: the instance must not be made on this claim.
bool plan_claim(WritePlanner& plan, const Cluster& cluster, const InstanceName& instance,
                const HeldObjects& held, Provision& out) {
    const kube::Claim* claim = held.claim(claim_name(instance));
    if (!claim) {
        plan.create(kube::kClaims, volume_claim(cluster, instance));
        return true;
    }
    if (!is_ours(*claim, instance)) {
        out.conflicts.push_back({std::string(kube::kClaims.kind), claim->name, claim->owner_uid});
        return false;
    }
    if (claim->deleting()) {
        out.problems.push_back(
            "PersistentVolumeClaim " + claim->name +
            " is being deleted: once its pod is gone, the instance is made anew");
        return held.find(kube::kStatefulSets, stateful_set_name(instance)) != nullptr;
    }
    return true;
}

// Last of all: a storage class that can't expand volumes refuses it each time, which must not keep
// anything else from being written.
void plan_growth(WritePlanner& plan, const Cluster& cluster, const InstanceName& instance,
                 const HeldObjects& held, Provision& out) {
    const kube::Claim* claim = held.claim(claim_name(instance));
    if (!claim || !is_ours(*claim, instance) || claim->deleting()) return;
    const auto has = parse_quantity(claim->requested, "spec.resources.requests.storage");
    const auto wants = parse_quantity(cluster.spec.storage.size, "spec.storage.size");
    if (!has || !wants || *has == *wants) return;
    if (*wants > *has) {
        plan.apply_to(kube::kClaims, *claim, volume_claim_growth(cluster, instance));
    } else {
        out.problems.push_back("spec.storage.size is " + cluster.spec.storage.size + ", but " +
                               claim->name + " has " + claim->requested +
                               ": a volume can't shrink; set the size to at least that");
    }
}

void plan_stateful_set(WritePlanner& plan, const Cluster& cluster, const InstanceName& instance,
                       const AgentImage& agent, const HeldObjects& held) {
    // volumeClaimTemplates can't change: repeat what the StatefulSet was made with.
    ClaimTemplate claim = ClaimTemplate::of(cluster.spec.storage);
    if (const auto* existing = held.find(kube::kStatefulSets, stateful_set_name(instance)))
        claim = ClaimTemplate::parse(existing->annotation(std::string(kClaimAnnotation)))
                    .value_or(claim);
    plan.apply(kube::kStatefulSets, stateful_set(cluster, instance, agent, claim));
}

}  // namespace

std::string Conflict::message() const {
    const std::string object = kind + " " + name;
    if (passing)
        return object +
               " is left from an earlier cluster of this name and is being removed: waiting";
    return object + " exists and belongs to " +
           (owner.empty() ? "nobody that says so" : "the object with uid " + owner) +
           ": delete or rename it, or create the cluster under another name; it is not touched";
}

void HeldObjects::add(const kube::Resource& resource, const kube::Meta& meta) {
    objects_.insert_or_assign({std::string(resource.plural), meta.name}, meta);
}
void HeldObjects::add(const kube::Claim& claim) {
    claims_.insert_or_assign(claim.name, claim);
}
void HeldObjects::add(const kube::Secret& secret) {
    secrets_.insert_or_assign(secret.name, secret);
}

const kube::Meta* HeldObjects::find(const kube::Resource& resource, const std::string& name) const {
    if (resource.plural == kube::kClaims.plural) return claim(name);
    if (resource.plural == kube::kSecrets.plural) return secret(name);
    const auto found = objects_.find({std::string(resource.plural), name});
    return found == objects_.end() ? nullptr : &found->second;
}
std::vector<const kube::Meta*> HeldObjects::all(const kube::Resource& resource) const {
    std::vector<const kube::Meta*> out;
    for (const auto& [key, meta] : objects_)
        if (key.first == resource.plural) out.push_back(&meta);
    return out;
}
const kube::Claim* HeldObjects::claim(const std::string& name) const {
    const auto found = claims_.find(name);
    return found == claims_.end() ? nullptr : &found->second;
}
const kube::Secret* HeldObjects::secret(const std::string& name) const {
    const auto found = secrets_.find(name);
    return found == secrets_.end() ? nullptr : &found->second;
}

Provision provision_frontage(const Cluster& cluster, const AgentImage& agent,
                             const HeldObjects& held) {
    Provision out;
    WritePlanner plan(cluster, held, out);
    plan_route_services(plan, cluster);
    plan_leftover_positions(plan, cluster);
    plan_poolers(plan, cluster, agent);
    return out;
}

Provision provision_objects(const Cluster& cluster, const WantedInstances& instances,
                            const AgentImage& agent, const HeldObjects& held) {
    Provision out;
    WritePlanner plan(cluster, held, out);
    plan_cluster_objects(plan, cluster);
    for (const InstanceName& instance : instances.present)
        if (plan_claim(plan, cluster, instance, held, out))
            plan_stateful_set(plan, cluster, instance, agent, held);
    // The volume stays, or goes with the StatefulSet, as its retention policy says.
    for (const InstanceName& instance : instances.removed) {
        plan.remove(kube::kStatefulSets, stateful_set_name(instance));
        plan.remove(kube::kSecrets, tls_secret(instance));
    }
    plan_leftover_positions(plan, cluster);
    plan_poolers(plan, cluster, agent);
    for (const InstanceName& instance : instances.present)
        plan_growth(plan, cluster, instance, held, out);
    return out;
}

void append(Provision& to, Provision from) {
    std::move(from.writes.begin(), from.writes.end(), std::back_inserter(to.writes));
    std::move(from.conflicts.begin(), from.conflicts.end(), std::back_inserter(to.conflicts));
    std::move(from.problems.begin(), from.problems.end(), std::back_inserter(to.problems));
}

kube::Condition objects_condition(const Provision& provision, std::int64_t generation) {
    kube::Condition out{.type = std::string(kObjectsCondition),
                        .status = kube::ConditionStatus::True,
                        .reason = "InPlace",
                        .message = "every object of the cluster is as the spec says",
                        .observed_generation = generation};
    if (provision.clean()) return out;
    out.status = kube::ConditionStatus::False;
    out.reason = provision.conflicts.empty() ? "NotPossible" : "NameTaken";
    out.message.clear();
    for (const Conflict& conflict : provision.conflicts)
        out.message += (out.message.empty() ? "" : "; ") + conflict.message();
    for (const std::string& problem : provision.problems)
        out.message += (out.message.empty() ? "" : "; ") + problem;
    return out;
}

}  // namespace matriarch::op
