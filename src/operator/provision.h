// What must be written so that the objects of a cluster are as they should be.
//
// Level-based: from the wanted objects and those that are there, each pass answers the writes that
// are missing, and none when all is well. An object of a wanted name that belongs to someone else
// is never adopted or changed: it is a Conflict, which becomes a condition with the remedy. Pure
// but for the keys that provision_secrets makes; any thread.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "kube/objects.h"
#include "kube/resource.h"
#include "model/routes.h"
#include "operator/app_secret.h"
#include "operator/certificates.h"
#include "operator/cluster.h"
#include "operator/instance_objects.h"

namespace matriarch::op {

// Each is safe to be executed twice (INV-9). How to execute it:
enum class WriteKind {
    // POST. AlreadyExists: the cache is behind or someone else's object is there, so read it live,
    // add it to `held`, and plan again.
    Create,
    // Server-side apply with force. With `uid`: the object that was looked at (the body names it,
    // so
    // another one is a Conflict). Without: nothing may be there; read live first, as for Create.
    Apply,
    Replace,  // PUT with the body's metadata.resourceVersion
    Delete,   // with `uid` as the precondition
};

struct ObjectWrite {
    WriteKind kind = WriteKind::Apply;
    kube::Resource resource;
    std::string name;
    std::string uid;
    std::shared_ptr<const nlohmann::json> body;  // null for Delete
};

struct Conflict {
    std::string kind, name;
    std::string owner;     // uid of its controller, empty if it has none
    bool passing = false;  // left by an earlier cluster of this name, and being collected: wait
    std::string message() const;  // with the remedy
    friend bool operator==(const Conflict&, const Conflict&) = default;
};

// What the caches, or live reads, know of the cluster's namespace.
class HeldObjects {
  public:
    void add(const kube::Resource& resource, const kube::Meta& meta);
    void add(const kube::Claim& claim);
    void add(const kube::Secret& secret);

    // Claims and Secrets too.
    const kube::Meta* find(const kube::Resource& resource, const std::string& name) const;
    const kube::Claim* claim(const std::string& name) const;
    const kube::Secret* secret(const std::string& name) const;
    // All of a kind, but claims and Secrets.
    std::vector<const kube::Meta*> all(const kube::Resource& resource) const;

  private:
    std::map<std::pair<std::string, std::string>, kube::Meta> objects_;  // (plural, name)
    std::map<std::string, kube::Claim> claims_;
    std::map<std::string, kube::Secret> secrets_;
};

struct Provision {
    std::vector<ObjectWrite> writes;  // in the order in which they should be executed
    std::vector<Conflict> conflicts;
    std::vector<std::string> problems;  // wishes that can't be fulfilled: field and remedy
    bool clean() const { return conflicts.empty() && problems.empty(); }
};

struct WantedInstances {
    std::vector<InstanceName> present;  // to be made, or kept up to date
    std::vector<InstanceName> removed;  // to be taken down; an instance in neither is left alone
};

// Accounts, Services, PodDisruptionBudget, claims, StatefulSets.
Provision provision_objects(const Cluster& cluster, const WantedInstances& instances,
                            const AgentImage& agent, const HeldObjects& held);

// The Secrets of the CA and the instances. Before provision_objects: pods wait for them. Stops at
// the first Error (a damaged CA), which is a problem. `ca`, if given, receives the CA's data once
// it is stored; until then leaves wait for the next pass.
Provision provision_certificates(const Cluster& cluster, const WantedInstances& instances,
                                 const HeldObjects& held, const Clock& clock, Random& random,
                                 StringMap* ca = nullptr,
                                 std::string_view domain = kDefaultClusterDomain);

// What stands before databases that run elsewhere: Services, and poolers.
Provision provision_frontage(const Cluster& cluster, const AgentImage& agent,
                             const HeldObjects& held);

// The Secret <cluster>-app. With `password`: that one, whatever the Secret holds.
Provision provision_app_secret(const Cluster& cluster, const std::vector<std::string>& hosts,
                               const std::vector<std::string>& read_hosts,
                               const std::string& ca_pem, const HeldObjects& held, Random& random,
                               const std::string& password = {});

// The Secret <cluster>-pooler: the certificate that clients see, and how poolers log in: by a
// password of their own, or as `external` says.
Provision provision_pooler_secret(const Cluster& cluster, const StringMap& ca,
                                  const std::optional<ExternalLogin>& external,
                                  const HeldObjects& held, const Clock& clock, Random& random,
                                  std::string_view domain = kDefaultClusterDomain);

// EndpointSlices and ConfigMap. Nothing is written over an object whose stamp is higher.
Provision provision_routes(const Cluster& cluster, const Routes& routes, const HeldObjects& held);

void append(Provision& to, Provision from);

// True "ObjectsInPlace", or False with every conflict and problem in its message.
kube::Condition objects_condition(const Provision& provision, std::int64_t generation);

}  // namespace matriarch::op
