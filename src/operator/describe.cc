#include "operator/describe.h"

#include <algorithm>

#include "operator/history.h"
#include "operator/names.h"

namespace matriarch::op {
namespace {

std::string position_of(const decide::Observation& seen, const InstanceName& instance) {
    const auto& positions = seen.record->positions;
    const auto found = std::find(positions.begin(), positions.end(), instance);
    if (found == positions.end()) return "";
    return position_name(static_cast<int>(found - positions.begin()) + 1);
}

MemberStatus describe_member(const decide::Observation& seen, const decide::InstanceView& i) {
    MemberStatus m;
    m.name = i.name.value;
    m.role = role_of(seen, i.name);
    m.pod = i.pod.empty() || seen.spec.external ? "" : pod_name(i.name);
    m.message = i.pod_trouble;
    if (seen.record) m.position = position_of(seen, i.name);
    if (!i.report || !i.reachable) {
        m.state = i.pod.empty() ? "no pod" : "silent";
        return m;
    }
    const Report& report = *i.report;
    m.heard = i.reported_at;
    m.state = to_string(report.state);
    m.timeline = report.timeline.value;
    if (m.message.empty()) m.message = report.trouble;
    const bool runs = report.state == PostgresState::Running;
    m.ready = runs && (m.role == "master" ? report.writable == Known::Yes : report.receiving);
    if (runs && report.answered_in.count() > 0) m.answered_in = report.answered_in;
    if (m.role == "slave" && runs) {
        m.lag_ms = report.lag.count();
        m.transactions = report.transactions;
        const auto* master = seen.find(seen.record->holder);
        if (master && master->report && master->report->timeline == report.timeline)
            m.lag_bytes =
                static_cast<std::int64_t>(distance(report.replayed, master->report->written).value);
    }
    return m;
}

// With a request in the spec: whether it was acted on, and if not, why.
FailoverRequestStatus describe_request(const decide::Observation& seen, const decide::Plan& plan) {
    const auto& failover = seen.spec.failover;
    if (failover.request_id.empty()) return {};
    FailoverRequestStatus out{failover.request_id, "pending", ""};
    if (seen.record && seen.record->handled_request == failover.request_id) out.state = "done";
    for (const auto& finding : plan.findings)
        if (finding.type == "RequestAccepted" && !finding.holds) {
            out.state = "refused";
            out.message = finding.message;
        }
    return out;
}

}  // namespace

std::string role_of(const decide::Observation& seen, const InstanceName& instance) {
    if (!seen.record) return "none";
    if (instance == seen.record->holder)
        return seen.record->phase == Phase::Serving ? "master" : "none";
    return position_of(seen, instance).empty() ? "none" : "slave";
}

ClusterStatus describe(const Cluster& cluster, const decide::Observation& seen,
                       const decide::Plan& plan, const std::vector<ChangeOfMaster>& untold,
                       WallTime now) {
    ClusterStatus s;
    s.observed_generation = cluster.generation;
    s.phase = plan.phase;
    s.selector = selector_text(cluster.key.name);
    s.system_identifier = cluster.status.system_identifier;
    s.history = whole_history(cluster.status.history, untold);
    s.instances = seen.spec.slaves + 1;
    if (seen.record) {
        const auto& record = *seen.record;
        s.master = record.holder.value;
        s.epoch = static_cast<std::int64_t>(record.epoch.value);
        s.timeline = record.timeline.value;
        if (!record.system_identifier.empty()) s.system_identifier = record.system_identifier.value;
    }
    for (const auto& instance : seen.instances) {
        s.members.push_back(describe_member(seen, instance));
        if (!s.members.back().ready) continue;
        ++s.ready_instances;
        if (s.members.back().role == "slave") ++s.slaves;
    }
    if (seen.published) {
        s.routing_epoch = static_cast<std::int64_t>(seen.published->epoch.value);
        s.routing_sequence = static_cast<std::int64_t>(seen.published->sequence);
    }
    s.request = describe_request(seen, plan);
    s.conditions = cluster.status.conditions;
    std::erase_if(s.conditions, [&](const kube::Condition& c) {
        return c.type != kSpecValidCondition && c.type != kObjectsCondition &&
               std::none_of(plan.findings.begin(), plan.findings.end(),
                            [&](const auto& f) { return f.type == c.type; });
    });
    for (const auto& finding : plan.findings) {
        kube::Condition c;
        c.type = finding.type;
        c.status = finding.holds ? kube::ConditionStatus::True : kube::ConditionStatus::False;
        c.reason = finding.reason;
        c.message = finding.message;
        c.observed_generation = cluster.generation;
        kube::set_condition(s.conditions, std::move(c), now);
        if (finding.type == kReadyCondition) s.message = finding.message;
    }
    return s;
}

}  // namespace matriarch::op
