#include "operator/troubles.h"

#include <nlohmann/json.hpp>

#include "kube/json_access.h"
#include "operator/names.h"

namespace matriarch::op {
namespace {

constexpr Duration kPatience = seconds(3);
constexpr Duration kPace = seconds(10);

// The newest warning about an object; empty if there is none, or if we may not ask.
std::string latest_warning(kube::Client& client, const std::string& ns, const std::string& kind,
                           const std::string& name) {
    std::string newest, note;
    const kube::ListOptions options{
        .ns = ns,
        .field_selector = "type=Warning,regarding.kind=" + kind + ",regarding.name=" + name};
    const auto listed =
        client.list(kube::kEvents, options,
                    [&](const nlohmann::json& event) {
                        std::string time = kube::get_string(event, {"series", "lastObservedTime"});
                        for (const char* field : {"deprecatedLastTimestamp", "eventTime"})
                            if (time.empty()) time = kube::get_string(event, {field});
                        if (time < newest) return;
                        newest = time;
                        note = kube::get_string(event, {"note"});
                    },
                    {.timeout = seconds(3)});
    return listed ? note : "";
}

std::string remedy(const std::string& note) {
    if (note.find("quota") != std::string::npos)
        return " (raise the namespace's ResourceQuota, or lower spec.resources or spec.slaves)";
    if (note.find("storageclass") != std::string::npos ||
        note.find("StorageClass") != std::string::npos)
        return " (spec.storage.storageClass: create it, or delete the cluster and name another)";
    return "";
}

}  // namespace

void look_for_troubles(kube::Client& client, const Cluster& cluster, const Caches& caches,
                       ClusterMemory& memory, TimePoint now) {
    const std::string& ns = cluster.key.name_space;
    for (const auto& set : Caches::of(caches.stateful_sets, cluster.key)) {
        const InstanceName instance(set->name);
        const auto pod = caches.pods.get(ns + "/" + pod_name(instance));
        if (pod && !pod->node.empty()) {
            memory.troubles.erase(instance);
            memory.without_pod_since.erase(instance);
            continue;
        }
        const auto since = memory.without_pod_since.try_emplace(instance, now).first->second;
        if (now - since < kPatience) continue;
        auto& asked = memory.troubles_asked[instance];
        if (asked != TimePoint{} && now - asked < kPace) continue;
        asked = now;
        std::string note = pod ? "" : latest_warning(client, ns, "StatefulSet", set->name);
        const auto claim = caches.claims.get(ns + "/" + claim_name(instance));
        if (note.empty() && claim && claim->phase == "Pending")
            note = latest_warning(client, ns, "PersistentVolumeClaim", claim->name);
        if (!note.empty()) note += remedy(note);
        memory.troubles[instance] = std::move(note);
    }
}

}  // namespace matriarch::op
