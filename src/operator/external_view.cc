#include "operator/external_view.h"

#include <algorithm>

namespace matriarch::op {
namespace {

const ProbeResult kNothing;
constexpr Duration kFresh = seconds(1);

const ProbeResult& result_of(const EndpointProber::Results& results, const InstanceName& name) {
    const auto found = results.find(name);
    return found == results.end() ? kNothing : found->second;
}

// Tells endpoints apart where routes bind addresses to pods.
PodUid identity_of(const InstanceName& name) {
    return PodUid("external/" + name.value);
}

Report report_of(const InstanceName& name, const ProbeResult& result,
                 const AuthorityRecord& record) {
    const auto& status = result.status;
    Report r;
    r.instance = name;
    r.pod = identity_of(name);
    r.epoch = record.epoch;
    r.system_identifier = result.system;
    r.state = PostgresState::Running;
    r.in_recovery = status.in_recovery ? Known::Yes : Known::No;
    r.writable = status.writable ? Known::Yes : Known::No;
    r.written = r.flushed = status.written;
    r.received = status.received;
    r.replayed = status.replayed;
    r.receiving = status.in_recovery && status.receiving;
    // A slave tells none; while it follows the master it is the master's.
    r.timeline = status.in_recovery ? record.timeline : status.timeline;
    r.lag = result.lag;
    r.transactions = status.transactions;
    r.answered_in = result.took;
    r.server_version_num = status.version_num;
    return r;
}

// Why it can't be used, if so.
EndpointProblem problem_of(const InstanceName& name, const ProbeResult& result,
                           const ExternalTargets& targets) {
    const auto known = targets.problems.find(name);
    if (known != targets.problems.end()) return known->second;
    if (!result.asked) return {"NotAskedYet", "is being asked"};
    if (!result.reachable) return {result.reason, result.trouble};
    return {};
}

}  // namespace

std::vector<decide::EndpointSight> sights_of(const Cluster& cluster,
                                             const EndpointProber::Results& results,
                                             TimePoint now) {
    std::vector<decide::EndpointSight> out;
    for (const auto& endpoint : cluster.spec.external->endpoints) {
        const auto& result = result_of(results, endpoint.name);
        const bool fresh = result.reachable && now - result.heard < kFresh;
        decide::EndpointSight sight{endpoint.name, fresh, Known::Unknown, result.system, {}};
        if (fresh) {
            sight.writable = result.status.writable ? Known::Yes : Known::No;
            if (result.status.writable) sight.timeline = result.status.timeline;
        }
        out.push_back(std::move(sight));
    }
    return out;
}

std::vector<InstanceName> external_positions(const ExternalSpec& spec,
                                             const std::optional<Routes>& published,
                                             const InstanceName& former,
                                             const InstanceName& master) {
    std::vector<InstanceName> out;
    if (published)
        for (const auto& slave : published->slaves) out.push_back(slave.instance);
    else
        for (std::size_t i = 1; i < spec.endpoints.size(); ++i)
            out.push_back(spec.endpoints[i].name);
    const InstanceName& replaced = former.empty() ? spec.endpoints.front().name : former;
    if (replaced != master) std::replace(out.begin(), out.end(), master, replaced);
    const auto in_spec = [&](const InstanceName& name) {
        return std::any_of(spec.endpoints.begin(), spec.endpoints.end(),
                           [&](const auto& e) { return e.name == name; });
    };
    std::erase_if(out, [&](const auto& name) { return name == master || !in_spec(name); });
    // Who is new comes last; as long as there has been no master, the spec's is nobody's slave.
    for (const auto& endpoint : spec.endpoints) {
        const bool waits = master.empty() && endpoint.name == spec.endpoints.front().name;
        const bool there = std::find(out.begin(), out.end(), endpoint.name) != out.end();
        if (endpoint.name != master && !there && !waits) out.push_back(endpoint.name);
    }
    return out;
}

AuthorityRecord external_record(const decide::MasterMemory& master,
                                std::vector<InstanceName> positions, Epoch epoch,
                                const EndpointProber::Results& results) {
    AuthorityRecord out;
    out.holder = master.master;
    out.holder_pod = identity_of(master.master);
    out.epoch = epoch;
    out.timeline = result_of(results, master.master).status.timeline;
    out.system_identifier = master.system.empty() ? SystemIdentifier("external") : master.system;
    out.positions = std::move(positions);
    return out;
}

std::vector<decide::InstanceView> external_instances(const Cluster& cluster,
                                                     const AuthorityRecord& record,
                                                     const EndpointProber::Results& results,
                                                     const ExternalTargets& targets) {
    std::vector<decide::InstanceView> out;
    for (const auto& endpoint : cluster.spec.external->endpoints) {
        const auto& result = result_of(results, endpoint.name);
        decide::InstanceView view;
        view.name = endpoint.name;
        view.exists = true;
        view.pod = identity_of(endpoint.name);
        view.host = endpoint.host;
        view.address = result.address;
        view.port = endpoint.port;
        view.pod_trouble = problem_of(endpoint.name, result, targets).text;
        view.asked = result.asked;
        view.reachable = result.reachable;
        if (result.heard != TimePoint{}) {
            view.report = report_of(endpoint.name, result, record);
            view.reported_at = result.heard;
        }
        out.push_back(std::move(view));
    }
    return out;
}

std::vector<decide::Finding> external_findings(const Cluster& cluster,
                                               const std::vector<decide::InstanceView>& instances,
                                               const EndpointProber::Results& results,
                                               const ExternalTargets& targets,
                                               const decide::MasterChoice& choice) {
    std::string reason, text;
    for (const auto& instance : instances) {
        const auto problem = problem_of(instance.name, result_of(results, instance.name), targets);
        if (problem.reason.empty()) continue;
        if (reason.empty()) reason = problem.reason;
        text += (text.empty() ? "" : "; ") + instance.name.value + ": " + problem.text;
    }
    std::vector<decide::Finding> out;
    const std::string all = std::to_string(instances.size());
    out.push_back(text.empty() ? decide::Finding{"EndpointsReachable", true, "AllAnswer",
                                                 all + " of " + all + " endpoints answer"}
                               : decide::Finding{"EndpointsReachable", false, reason, text});
    const bool ready = choice.serves && text.empty();
    const std::string mode =
        cluster.spec.external->validate_only ? "; nothing is routed (validateOnly)" : "";
    out.push_back({"Ready", ready,
                   ready           ? "Ready"
                   : choice.serves ? reason
                                   : "NoMaster",
                   (ready ? choice.memory.master.value + " accepts writes, every endpoint answers"
                    : choice.serves ? choice.memory.master.value + " accepts writes; " + text
                                    : choice.one_master.message) +
                       mode});
    return out;
}

}  // namespace matriarch::op
