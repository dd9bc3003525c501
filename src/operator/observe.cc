#include "operator/observe.h"

#include <algorithm>
#include <set>

#include "kube/resource_version.h"
#include "operator/app_secret.h"
#include "operator/instance_config.h"
#include "operator/instance_objects.h"
#include "operator/names.h"

namespace matriarch::op {
namespace {

const std::string kInstanceLabelText(kInstanceLabel);

template <class T>
std::shared_ptr<const T> with_name(const std::vector<std::shared_ptr<const T>>& objects,
                                   const std::string& name) {
    const auto found = std::find_if(objects.begin(), objects.end(),
                                    [&](const auto& object) { return object->name == name; });
    return found == objects.end() ? nullptr : *found;
}

// Our own write may be newer than the cache.
void take_record(const Cluster& cluster, const Caches& caches, ClusterMemory& memory,
                 TimePoint now) {
    const auto view = caches.records.get(cluster.key.str());
    memory.record_trouble.clear();
    if (!view) {
        // Deleted since we saw it, unless our own creation has not come back yet.
        if (memory.record && caches.records.has_seen(memory.record->version.value))
            memory.record.reset();
        return;
    }
    if (!view->record) {
        memory.record_trouble = view->trouble;
        memory.record.reset();
        return;
    }
    if (!memory.record ||
        kube::at_least_as_new(view->resource_version, memory.record->version.value))
        memory.saw_record(*view->record, now);
}

// Empty until the Secret has one.
std::string verifier(const Cluster& cluster, const Caches& caches, const std::string& name) {
    const auto secret = caches.secrets.get(cluster.key.name_space + "/" + name);
    return secret ? value_of(secret->data, kVerifierKey) : "";
}

std::set<InstanceName> instance_names(const Cluster& cluster, const Caches& caches,
                                      const ClusterMemory& memory) {
    std::set<InstanceName> names;
    const auto add = [&](const kube::Meta& object) {
        const InstanceName name(object.label(kInstanceLabelText));
        if (ordinal_of(name, cluster.key.name) > 0) names.insert(name);
    };
    for (const auto& set : Caches::of(caches.stateful_sets, cluster.key)) add(*set);
    for (const auto& claim : Caches::of(caches.claims, cluster.key)) add(*claim);
    if (memory.record) {
        names.insert(memory.record->holder);
        names.insert(memory.record->positions.begin(), memory.record->positions.end());
    }
    return names;
}

// Kubernetes puts a container's last output there, which may be pages.
std::string shorten(const std::string& message) {
    constexpr std::size_t kLength = 200;
    return message.size() <= kLength ? message : message.substr(0, kLength) + "...";
}

std::string container_trouble(const kube::ContainerStatus& c) {
    if (c.state == kube::ContainerState::Waiting && c.reason != "PodInitializing" &&
        c.reason != "ContainerCreating")
        return "container " + c.name + ": " + c.reason +
               (c.message.empty() ? "" : ": " + shorten(c.message));
    if (c.state == kube::ContainerState::Terminated && c.exit_code.value_or(0) != 0)
        return "container " + c.name + " ended with code " + std::to_string(*c.exit_code);
    return "";
}

}  // namespace

void take_routes(const Cluster& cluster, const Caches& caches, ClusterMemory& memory,
                 TimePoint now) {
    const auto map =
        caches.config_maps.get(cluster.key.name_space + "/" + routing_config_map(cluster.key.name));
    if (memory.published) memory.last_published = stamp_of(*memory.published);
    if (!map) {
        memory.published.reset();
        return;
    }
    if (map->resource_version == memory.published_version) return;
    memory.published_version = map->resource_version;
    const auto text = map->data.find("routes.json");
    const auto routes =
        text == map->data.end() ? Result<Routes>(Error{}) : routes_from_json(text->second);
    if (!routes) return;
    const Stamp stamp = stamp_of(*routes);
    if (memory.published && stamp < stamp_of(*memory.published)) return;
    // Somebody else's, who led until now: perhaps a moment ago.
    if (!memory.published || stamp > stamp_of(*memory.published)) memory.published_at = now;
    memory.published = *routes;
}

std::uint64_t last_sequence(const Cluster& cluster, const Caches& caches,
                            const ClusterMemory& memory) {
    if (!memory.record) return 0;
    const std::uint64_t epoch = memory.record->epoch.value;
    std::uint64_t last = memory.last_published.epoch == epoch ? memory.last_published.sequence : 0;
    for (const auto& slice : Caches::of(caches.endpoint_slices, cluster.key)) {
        const auto stamp = Stamp::parse(slice->annotation(std::string(kStampAnnotation)));
        if (stamp && stamp->epoch == epoch) last = std::max(last, stamp->sequence);
    }
    return last;
}

std::string pod_trouble(const kube::Pod& pod, const std::string& image_field) {
    if (pod.deleting()) return "";
    if (!pod.unschedulable.empty()) return "can't be scheduled: " + pod.unschedulable;
    if (pod.phase == "Failed")
        return "pod failed: " + pod.reason + (pod.message.empty() ? "" : ": " + pod.message);
    for (const auto* containers : {&pod.init_containers, &pod.containers})
        for (const auto& container : *containers)
            if (auto trouble = container_trouble(container); !trouble.empty())
                return trouble.find("Image") == std::string::npos
                           ? trouble
                           : trouble + " (" + image_field + ", spec.imagePullSecrets)";
    return "";
}

std::vector<decide::PoolerView> poolers_of(const Cluster& cluster, const Caches& caches) {
    std::vector<decide::PoolerView> out;
    const auto words =
        caches.config_maps.get(cluster.key.name_space + "/" + pooler_words(cluster.key.name));
    for (const auto& pod : Caches::of(caches.pods, cluster.key)) {
        if (pod->label("app.kubernetes.io/component") != kPoolerComponent) continue;
        decide::PoolerView view;
        view.pod = pod->name;
        view.ready = pod->ready && !pod->deleting();
        view.trouble = pod_trouble(*pod, "spec.pooler.image");
        if (words) view.holds = value_of(words->data, pod->name);
        out.push_back(std::move(view));
    }
    return out;
}

std::vector<AgentAddress> agent_addresses(const Cluster& cluster, const Caches& caches) {
    std::vector<AgentAddress> out;
    for (const auto& pod : Caches::of(caches.pods, cluster.key)) {
        const InstanceName instance(pod->label(kInstanceLabelText));
        if (instance.empty() || pod->ip.empty() || pod->name != pod_name(instance)) continue;
        out.push_back(
            {cluster.key, instance, PodUid(pod->uid), pod->ip, host_of(cluster.key, instance)});
    }
    return out;
}

decide::Observation observe(const Cluster& cluster, const Caches& caches,
                            const AgentChannel& agents, ClusterMemory& memory,
                            const kube::Leadership& leadership, Random& random, TimePoint now) {
    take_record(cluster, caches, memory, now);
    take_routes(cluster, caches, memory, now);

    decide::Observation o;
    o.cluster = cluster.key;
    o.spec = cluster.spec;
    o.deleting = cluster.deleting;
    o.complete = caches.synced();
    o.record_trouble = memory.record_trouble;
    o.record = memory.record;
    o.remembered = SystemIdentifier(cluster.status.system_identifier);
    o.published = memory.published;
    o.published_at = memory.published_at;
    o.last_sequence = last_sequence(cluster, caches, memory);
    if (cluster.spec.pooler.wanted()) o.poolers = poolers_of(cluster, caches);
    o.term = Term(leadership.term);
    memory.note_term(o.term, now);
    if (memory.record)
        if (const auto known = agents.knowledge(cluster.key, memory.record->holder))
            memory.note_ttl(known->report, now);
    o.mandate = memory.mandate;
    o.mandate.granted = agents.last_grant(cluster.key);
    o.leadership_until = leadership.valid_until;
    o.master_failed_since = memory.master_failed_since;
    o.node_out_of_service = memory.node_out_of_service;
    o.fresh_id = EpochId(random.hex(8));

    const auto names = instance_names(cluster, caches, memory);
    const std::vector<InstanceName> members = [&] {
        if (!memory.record) return std::vector<InstanceName>(names.begin(), names.end());
        auto all = memory.record->positions;
        all.push_back(memory.record->holder);
        return all;
    }();
    const Verifiers verifiers{verifier(cluster, caches, app_secret(cluster.key.name)),
                              verifier(cluster, caches, pooler_name(cluster.key.name))};
    const std::string wanted_restart_hash = restart_hash(cluster.spec);
    const auto sets = Caches::of(caches.stateful_sets, cluster.key);
    const auto pods = Caches::of(caches.pods, cluster.key);
    const auto claims = Caches::of(caches.claims, cluster.key);

    std::lock_guard lock(memory.orders->mutex);
    for (const auto& name : names) {
        decide::InstanceView view;
        view.name = name;
        if (const auto set = with_name(sets, stateful_set_name(name))) {
            view.exists = set->owner_uid == cluster.uid;
            view.deleting = set->deleting();
        }
        if (const auto claim = with_name(claims, claim_name(name))) {
            view.has_volume = true;
            // RFC 3339 in UTC: the text's order is the time's.
            view.kept_volume = claim->creation_timestamp < cluster.created;
        }
        view.host = host_of(cluster.key, name);
        if (const auto pod = with_name(pods, pod_name(name))) {
            view.pod = PodUid(pod->uid);
            view.address = pod->ip;
            view.node = pod->node;
            view.pod_ending = pod->deleting();
            view.pod_trouble = pod_trouble(*pod);
            const auto& made_of = pod->annotation(std::string(kRestartHashAnnotation));
            view.pod_outdated = !made_of.empty() && made_of != wanted_restart_hash;
        }
        const auto trouble = memory.troubles.find(name);
        if (trouble != memory.troubles.end() && !trouble->second.empty())
            view.pod_trouble = trouble->second;
        if (auto known = agents.knowledge(cluster.key, name)) {
            view.report = std::move(known->report);
            view.reported_at = known->reported_at;
            const bool same_pod = known->address.pod == view.pod;
            view.asked = known->asked || !same_pod;
            view.reachable = known->reachable && same_pod;
            view.clock_trouble = known->clock_trouble;
        }
        const auto fit = memory.fit_since.find(name);
        if (fit != memory.fit_since.end()) view.fit_since = fit->second;
        view.config = instance_config(cluster.spec, name, members, verifiers);
        const auto last = memory.orders->last.find(name);
        if (last != memory.orders->last.end()) view.sent = last->second;
        const auto configured = memory.orders->configured.find(name);
        if (configured != memory.orders->configured.end()) view.configured = configured->second;
        o.instances.push_back(std::move(view));
    }
    std::sort(o.instances.begin(), o.instances.end(), [&](const auto& a, const auto& b) {
        return ordinal_of(a.name, cluster.key.name) < ordinal_of(b.name, cluster.key.name);
    });
    memory.note_epoch(o, now);
    memory.note_streams(o);
    return o;
}

}  // namespace matriarch::op
