// provision_certificates and provision_app_secret; see provision.h. Secrets are compared by their
// data and replaced by compare-and-swap: a key or a password is never lost to a stale cache.
#include <nlohmann/json.hpp>

#include "model/pooler.h"
#include "operator/app_secret.h"
#include "operator/certificates.h"
#include "operator/names.h"
#include "operator/plan_write.h"
#include "operator/pooler_objects.h"
#include "operator/provision.h"

namespace matriarch::op {
namespace {

constexpr const char* kUserlist = "userlist.txt";

const StringMap kNothing;

// Where nothing can be made in the database, its own user; else our role, with a password of its
// own.
Result<StringMap> pooler_login(const std::optional<ExternalLogin>& external,
                               const StringMap& former, Random& random) {
    StringMap login;
    if (external) {
        login = {{kPoolerUserKey, external->user}, {kPoolerPasswordKey, external->password}};
    } else {
        auto kept = keep_login(former, random);
        if (!kept) return kept.error();
        login = std::move(*kept);
        login[kPoolerUserKey] = kPoolerRole;
    }
    login[kUserlist] = userlist(login[kPoolerUserKey], login[kPoolerPasswordKey]);
    return login;
}

class SecretPlanner {
  public:
    SecretPlanner(const Cluster& cluster, const HeldObjects& held, Provision& out)
        : cluster_(cluster), held_(held), plan_(cluster, held, out) {}

    // False: someone else's, or being deleted.
    bool usable(const std::string& name) {
        const kube::Secret* secret = held_.secret(name);
        return !secret || plan_.ours(kube::kSecrets, *secret);
    }
    const StringMap& data(const std::string& name) const {
        const kube::Secret* secret = held_.secret(name);
        return secret ? secret->data : kNothing;
    }
    void put(const std::string& name, std::string_view type, std::string_view component,
             const StringMap& wanted) {
        const kube::Secret* secret = held_.secret(name);
        if (secret && secret->data == wanted) return;
        // A Secret's type can't change: one of another type but with our owner keeps it.
        nlohmann::json object =
            secret_object(cluster_, name, secret && !secret->type.empty() ? secret->type : type,
                          component, wanted);
        if (!secret) return plan_.create(kube::kSecrets, std::move(object));
        plan_.replace(kube::kSecrets, *secret, std::move(object));
    }

  private:
    const Cluster& cluster_;
    const HeldObjects& held_;
    WritePlanner plan_;
};

}  // namespace

Provision provision_certificates(const Cluster& cluster, const WantedInstances& instances,
                                 const HeldObjects& held, const Clock& clock, Random& random,
                                 StringMap* ca, std::string_view domain) {
    Provision out;
    SecretPlanner plan(cluster, held, out);
    const std::string ca_name = ca_secret(cluster.key.name);
    if (!plan.usable(ca_name)) return out;
    const auto data = ensure_ca(cluster.key, plan.data(ca_name), clock, random);
    if (!data) {
        out.problems.push_back(data.error().message());
        return out;
    }
    plan.put(ca_name, "Opaque", "certificates", *data);
    // Leaves of a CA that is not stored would be leaves of nobody if the write fails or loses.
    if (!out.writes.empty()) return out;
    if (ca) *ca = *data;
    for (const InstanceName& instance : instances.present) {
        const std::string name = tls_secret(instance);
        if (!plan.usable(name)) continue;
        const auto leaf = ensure_leaf(
            *data, instance_certificate(cluster.key, instance, cluster.spec.slaves, domain),
            plan.data(name), clock, random);
        if (!leaf) {
            out.problems.push_back("Secret " + name + ": " + leaf.error().message());
            continue;
        }
        plan.put(name, "kubernetes.io/tls", "certificates", *leaf);
    }
    return out;
}

Provision provision_app_secret(const Cluster& cluster, const std::vector<std::string>& hosts,
                               const std::vector<std::string>& read_hosts,
                               const std::string& ca_pem, const HeldObjects& held, Random& random,
                               const std::string& password) {
    Provision out;
    SecretPlanner plan(cluster, held, out);
    const std::string name = app_secret(cluster.key.name);
    if (!plan.usable(name)) return out;
    StringMap former = plan.data(name);
    if (!password.empty()) former[std::string(kPasswordKey)] = password;
    const auto data = merge_app_secret(cluster, hosts, read_hosts, ca_pem, former, random);
    if (!data) {
        out.problems.push_back(data.error().message());
        return out;
    }
    plan.put(name, "kubernetes.io/basic-auth", "app", *data);
    return out;
}

Provision provision_pooler_secret(const Cluster& cluster, const StringMap& ca,
                                  const std::optional<ExternalLogin>& external,
                                  const HeldObjects& held, const Clock& clock, Random& random,
                                  std::string_view domain) {
    Provision out;
    SecretPlanner plan(cluster, held, out);
    const std::string name = pooler_name(cluster.key.name);
    if (!plan.usable(name)) return out;
    const StringMap& former = plan.data(name);
    auto data = ensure_leaf(ca, service_certificate({cluster.key.name_space, name}, domain), former,
                            clock, random);
    auto login = data ? pooler_login(external, former, random) : Result<StringMap>(data.error());
    if (!login) {
        out.problems.push_back("Secret " + name + ": " + login.error().message());
        return out;
    }
    const bool other_ca = external && !external->ca_pem.empty();
    (*login)[std::string(kServerCaKey)] = other_ca ? external->ca_pem : trusted_pem(ca);
    data->merge(*login);
    plan.put(name, "kubernetes.io/tls", kPoolerComponent, *data);
    return out;
}

}  // namespace matriarch::op
