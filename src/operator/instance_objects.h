// The objects of one instance: its StatefulSet of one pod and its volume claim.
//
// The pod fulfils the restricted Pod Security Standard and runs a stock PostgreSQL image: an init
// container puts the agent, with its own loader and libraries, into an emptyDir. Pods are restarted
// by the operator's plan only (OnDelete): never by an upgrade of the operator, whose image is in
// the template too. Pure; equal inputs give byte-equal JSON; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "model/ids.h"
#include "operator/cluster.h"

namespace matriarch::op {

// Where the agent comes from: the operator's own image.
struct AgentImage {
    std::string image;
    std::string pull_policy = "IfNotPresent";
};

// The part of a StatefulSet that can't change: volumeClaimTemplates. It is kept as an annotation,
// so that the next apply repeats what is there, whatever the spec says by then.
struct ClaimTemplate {
    std::string size;
    std::string storage_class;  // empty: the default class

    static ClaimTemplate of(const StorageSpec& storage) {
        return {storage.size, storage.storage_class};
    }
    std::string str() const { return size + "/" + storage_class; }
    static std::optional<ClaimTemplate> parse(std::string_view text);
    friend bool operator==(const ClaimTemplate&, const ClaimTemplate&) = default;
};

nlohmann::json stateful_set(const Cluster& cluster, const InstanceName& instance,
                            const AgentImage& agent, const ClaimTemplate& claim);

// The PersistentVolumeClaim as we create it, before the StatefulSet would: a claim of that name
// that belongs to someone else is then seen. It has no owner, and its labels let a later cluster of
// the same name find it.
nlohmann::json volume_claim(const Cluster& cluster, const InstanceName& instance);
// What is applied to make an existing claim larger.
nlohmann::json volume_claim_growth(const Cluster& cluster, const InstanceName& instance);

// The parts of the spec that a running pod can take over only by a restart. In the annotation
// kRestartHashAnnotation of each pod.
std::string restart_hash(const ClusterSpec& spec);
// Of a pod with `running` as its annotation. A pod without one is left alone: a restart needs a
// reason.
bool restart_needed(const std::string& running, const ClusterSpec& wanted);
bool restart_needed(const ClusterSpec& old, const ClusterSpec& wanted);

// Seconds between SIGTERM and SIGKILL; the agent must have stopped PostgreSQL by then.
inline constexpr int kGraceSeconds = 30;

}  // namespace matriarch::op
