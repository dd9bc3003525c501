#include "operator/object_keeper.h"

#include <nlohmann/json.hpp>

#include "operator/certificates.h"
#include "operator/names.h"
#include "operator/object_writer.h"
#include "operator/routing_config.h"
#include "telemetry/log.h"

namespace matriarch::op {
namespace {

namespace log = telemetry::log;

constexpr Duration kUncachedPace = std::chrono::minutes(10);
constexpr Duration kCertificatesPace = std::chrono::minutes(10);
constexpr int kRounds = 4;  // of planning again after something unknown was found

// Kinds that change so seldom that watching them would cost more than asking.
struct Uncached {
    kube::Resource resource;
    std::string name;
};
std::vector<Uncached> uncached(const ClusterKey& cluster, bool poolers) {
    std::vector<Uncached> out = {{kube::kDisruptionBudgets, disruption_budget_name(cluster.name)}};
    const auto add_account = [&](const std::string& name) {
        for (const auto& kind : {kube::kServiceAccounts, kube::kRoles, kube::kRoleBindings})
            out.push_back({kind, name});
    };
    add_account(agent_account(cluster.name));
    if (!poolers) return out;
    const std::string pooler = pooler_name(cluster.name);
    add_account(pooler);
    out.push_back({kube::kDisruptionBudgets, pooler});
    out.push_back({kube::kDeployments, pooler});
    return out;
}

// Or had: their Service is the last that goes.
bool has_poolers(const Cluster& cluster, const HeldObjects& held) {
    return cluster.spec.pooler.wanted() ||
           held.find(kube::kServices, pooler_name(cluster.key.name)) != nullptr;
}

Routes hosts_of(const ClusterMemory& memory, const std::set<InstanceName>& instances) {
    if (memory.published) return *memory.published;
    Routes routes;
    int position = 0;
    for (const auto& name : instances) {
        if (position++ == 0) {
            routes.master = MasterRoute{};
            routes.master->instance = name;
        } else {
            SlaveRoute slave;
            slave.position = position - 1;
            slave.instance = name;
            routes.slaves.push_back(slave);
        }
    }
    return routes;
}

// The Secrets of certificates as they are, and for whom; empty: one is missing.
std::string certificates_of(const Cluster& cluster, const WantedInstances& wanted,
                            const HeldObjects& held) {
    std::string out = cluster.uid + "," + std::to_string(cluster.spec.slaves);
    const auto add = [&](const std::string& name) {
        const kube::Secret* secret = held.secret(name);
        if (secret == nullptr || secret->resource_version.empty()) return false;
        out += "," + name + "=" + secret->uid + "@" + secret->resource_version;
        return true;
    };
    if (!add(ca_secret(cluster.key.name))) return "";
    for (const auto& instance : wanted.present)
        if (!add(tls_secret(instance))) return "";
    return out;
}

}  // namespace

ObjectKeeper::ObjectKeeper(kube::Client& client, const Clock& clock, Random& random,
                           AgentImage agent, std::string cluster_domain)
    : client_(client),
      clock_(clock),
      random_(random),
      agent_(std::move(agent)),
      cluster_domain_(std::move(cluster_domain)) {}

Status ObjectKeeper::read_uncached(const Cluster& cluster, ClusterMemory& memory,
                                   HeldObjects& held) {
    const auto names = uncached(cluster.key, has_poolers(cluster, held));
    const bool due = names.size() != memory.uncached_names || memory.uncached_read == TimePoint{} ||
                     clock_.now() - memory.uncached_read > kUncachedPace;
    if (due) {
        HeldObjects live;
        for (const auto& [resource, name] : names)
            if (auto read = read_into(client_, resource, {cluster.key.name_space, name}, live);
                !read)
                return read;
        memory.uncached = std::move(live);
        memory.uncached_read = clock_.now();
        memory.uncached_names = names.size();
    }
    for (const auto& [resource, name] : names)
        if (const auto* meta = memory.uncached.find(resource, name)) held.add(resource, *meta);
    return {};
}

// To read certificates and to verify signatures takes longer than all the rest of a pass.
Provision ObjectKeeper::plan_certificates(const Cluster& cluster, ClusterMemory& memory,
                                          const WantedInstances& wanted, const HeldObjects& held,
                                          StringMap& ca) {
    const std::string now_held = certificates_of(cluster, wanted, held);
    const WallTime now = clock_.wall();
    const bool lately =
        now >= memory.certificates_checked && now - memory.certificates_checked < kCertificatesPace;
    if (lately && !now_held.empty() && now_held == memory.certificates_fit) {
        ca = held.secret(ca_secret(cluster.key.name))->data;
        return {};
    }
    Provision out =
        provision_certificates(cluster, wanted, held, clock_, random_, &ca, cluster_domain_);
    memory.certificates_fit = out.clean() && out.writes.empty() ? now_held : "";
    memory.certificates_checked = now;
    return out;
}

Provision ObjectKeeper::plan(const Cluster& cluster, ClusterMemory& memory,
                             const WantedInstances& wanted, const HeldObjects& held) {
    if (cluster.spec.external) {
        Provision all = provision_frontage(cluster, agent_, held);
        const auto& login = memory.external.targets.login;
        if (login.user.empty()) return all;
        const Routes routes = hosts_of(memory, {});
        append(all, provision_app_secret(cluster, hosts_writes_first(cluster, routes),
                                         hosts_reads_first(cluster, routes), login.ca_pem, held,
                                         random_, login.password));
        if (!cluster.spec.pooler.wanted()) return all;
        StringMap ca;
        append(all,
               provision_certificates(cluster, {}, held, clock_, random_, &ca, cluster_domain_));
        if (!ca.empty())
            append(all, provision_pooler_secret(cluster, ca, login, held, clock_, random_,
                                                cluster_domain_));
        return all;
    }
    StringMap ca;
    Provision all = plan_certificates(cluster, memory, wanted, held, ca);
    if (!ca.empty()) {
        const Routes routes = hosts_of(memory, {wanted.present.begin(), wanted.present.end()});
        append(all, provision_app_secret(cluster, hosts_writes_first(cluster, routes),
                                         hosts_reads_first(cluster, routes), trusted_pem(ca), held,
                                         random_));
        if (cluster.spec.pooler.wanted())
            append(all, provision_pooler_secret(cluster, ca, {}, held, clock_, random_,
                                                cluster_domain_));
    }
    append(all, provision_objects(cluster, wanted, agent_, held));
    return all;
}

// What was written already, or refused for good (a volume that can't grow, say), is left. An object
// that moved on is read, to be planned for again.
Status ObjectKeeper::execute_all(const Cluster& cluster, const Provision& provision,
                                 HeldObjects& held, Execution& done) {
    done.moved = false;
    for (const auto& write : provision.writes) {
        const std::pair<std::string, std::string> object{write.resource.plural, write.name};
        if (done.settled.contains(object)) continue;
        const auto written = execute(client_, cluster.key, write);
        if (written) {
            done.settled.insert(object);
            done.wrote = true;
            continue;
        }
        const ErrorKind kind = written.error().kind;
        if (kind == ErrorKind::Forbidden || kind == ErrorKind::Invalid) {
            done.settled.insert(object);
            done.refused.push_back(std::string(write.resource.kind) + " " + write.name +
                                   " is refused: " + written.error().message());
        } else if (kind == ErrorKind::Conflict) {
            log::info("an object moved on", {{"kind", write.resource.kind},
                                             {"name", write.name},
                                             {"why", written.error().message()}});
            done.moved = true;
            const kube::ObjectKey key{cluster.key.name_space, write.name};
            if (auto read = read_into(client_, write.resource, key, held); !read) return read;
        } else {
            return written.error();
        }
    }
    return {};
}

Result<KeeperResult> ObjectKeeper::keep(const Cluster& cluster, const Caches& caches,
                                        ClusterMemory& memory,
                                        const std::set<InstanceName>& instances) {
    const WantedInstances wanted{{instances.begin(), instances.end()}, {}};
    HeldObjects held = held_in(caches, cluster.key);
    if (auto read = read_uncached(cluster, memory, held); !read) return read.error();

    KeeperResult out;
    Provision provision = plan(cluster, memory, wanted, held);
    for (int round = 0; round < kRounds; ++round) {
        bool found = false;
        for (const auto& write : provision.writes) {
            if (!blind(write) || held.find(write.resource, write.name)) continue;
            if (auto read =
                    read_into(client_, write.resource, {cluster.key.name_space, write.name}, held);
                !read)
                return read.error();
            found = found || held.find(write.resource, write.name) != nullptr;
        }
        if (!found) break;
        provision = plan(cluster, memory, wanted, held);
    }
    Execution done;
    if (auto all = execute_all(cluster, provision, held, done); !all) return all.error();
    // A cache may be behind for a minute; mostly the object is as it should be.
    const bool moved = done.moved;
    if (moved) {
        provision = plan(cluster, memory, wanted, held);
        if (auto all = execute_all(cluster, provision, held, done); !all) return all.error();
    }
    provision.problems.insert(provision.problems.end(), done.refused.begin(), done.refused.end());
    out.behind = done.moved;
    out.wrote = done.wrote || done.moved;
    if (out.wrote || moved) memory.uncached_read = TimePoint{};
    out.condition = objects_condition(provision, cluster.generation);
    return out;
}

Status ObjectKeeper::remove_instance(const Cluster& cluster, const Caches& caches,
                                     const InstanceName& instance) {
    const HeldObjects held = held_in(caches, cluster.key);
    const auto provision =
        provision_objects(cluster, WantedInstances{{}, {instance}}, agent_, held);
    for (const auto& write : provision.writes)
        if (write.kind == WriteKind::Delete)
            if (auto done = execute(client_, cluster.key, write); !done) return done;
    return {};
}

}  // namespace matriarch::op
