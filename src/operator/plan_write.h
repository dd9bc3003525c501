// WritePlanner: turns one wanted object into the write that is missing, a conflict, or nothing.
//
// The rule of ownership is here and nowhere else. One pass, one thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "kube/objects.h"
#include "kube/resource.h"
#include "operator/cluster.h"
#include "operator/provision.h"

namespace matriarch::op {

class WritePlanner {
  public:
    // All outlive the planner.
    WritePlanner(const Cluster& cluster, const HeldObjects& held, Provision& out)
        : cluster_(cluster), held_(held), out_(out) {}

    // Sealed objects: applied where the content hash differs.
    void apply(const kube::Resource& resource, nlohmann::json object);
    // Made only where there is none.
    void create(const kube::Resource& resource, nlohmann::json object);
    // Of an object whose ownership the caller has looked at.
    void apply_to(const kube::Resource& resource, const kube::Meta& held, nlohmann::json object);
    // Sealed objects, by compare-and-swap.
    void replace(const kube::Resource& resource, nlohmann::json object);
    void replace(const kube::Resource& resource, const kube::Meta& held, nlohmann::json object);
    // Only of our own; nothing if there is none.
    void remove(const kube::Resource& resource, const std::string& name);
    void remove(const kube::Resource& resource, const kube::Meta& held);

    // Notes the conflict if it belongs to someone else. False also while it is being deleted.
    bool ours(const kube::Resource& resource, const kube::Meta& held);

  private:
    void write(WriteKind kind, const kube::Resource& resource, const std::string& name,
               const std::string& uid, nlohmann::json body);

    const Cluster& cluster_;
    const HeldObjects& held_;
    Provision& out_;
};

}  // namespace matriarch::op
