#include "operator/story.h"

#include <algorithm>

#include "decide/synchronous.h"
#include "operator/history.h"
#include "operator/names.h"
#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

bool is_summary(std::string_view condition) {
    return condition == "Ready" || condition == "MasterServing" || condition == "SlavesReady" ||
           condition == "ReadsRouted";
}

// Of two steps, the second of which began with what the first had left.
std::optional<Bytes> together(std::optional<Bytes> first, std::optional<Bytes> second) {
    if (!first || !second) return {};
    return Bytes(first->value + second->value);
}

}  // namespace

void Story::tell(const Cluster& cluster, kube::EventType type, const std::string& reason,
                 const std::string& action, const std::string& note) {
    kube::Event event;
    event.regarding = {std::string(kClusterApiVersion), std::string(kClusterKind),
                       cluster.key.name_space, cluster.key.name, cluster.uid};
    event.type = type;
    event.reason = reason;
    event.action = action;
    event.note = note;
    events_.record(std::move(event));
    log::write(type == kube::EventType::Warning ? log::Level::Warn : log::Level::Info, note,
               {{"cluster", cluster.key.str()}, {"reason", reason}});
}

void Story::step(ClusterMemory& memory, const std::string& name) {
    if (!memory.change) return;
    const TimePoint now = clock_.now();
    memory.change->steps.push_back({name, to_ms(now - memory.change->last_step)});
    memory.change->last_step = now;
}

void Story::master_failed(const Cluster& cluster, ClusterMemory& memory,
                          const decide::Observation& seen, const std::string& why) {
    if (memory.change || !seen.record) return;
    const TimePoint now = clock_.now();
    const Epoch told = seen.published ? seen.published->epoch : seen.record->epoch;
    memory.change = ChangeUnderWay{
        now, clock_.wall(), seen.record->holder, std::min(told, seen.record->epoch), why, {}, now,
        {}};
    tell(cluster, kube::EventType::Warning, "MasterFailed", "Failover",
         seen.record->holder.value + " can't serve: " + why);
}

void Story::resume(const Cluster& cluster, ClusterMemory& memory, const decide::Observation& seen) {
    if (memory.change || !seen.record || !seen.published) return;
    const auto& record = *seen.record;
    const auto& routes = *seen.published;
    if (record.phase != Phase::Promoting && routes.epoch >= record.epoch) {
        if (auto change = untold_change(whole_history(cluster.status.history, memory.history),
                                        record, clock_.wall()))
            record_change(memory.history, std::move(*change));
        return;
    }
    const TimePoint now = clock_.now();
    ChangeUnderWay change;
    change.began = change.last_step = now;
    change.began_wall = clock_.wall();
    change.from = record.former.empty() && routes.master ? routes.master->instance : record.former;
    change.epoch = std::min(routes.epoch, Epoch(record.epoch.value - 1));
    change.why = "found under way; the time before is not counted";
    change.proof = record.proof.value_or(ProofKind::ConfirmedFence);
    memory.change = std::move(change);
}

void Story::record_written(const Cluster& cluster, ClusterMemory& memory,
                           const std::optional<AuthorityRecord>& before,
                           const AuthorityRecord& after, std::optional<Bytes> loss,
                           const std::string& reason) {
    const std::string epoch = std::to_string(after.epoch.value);
    if (after.phase == Phase::Promoting && (!before || before->epoch != after.epoch)) {
        step(memory, "chosen");
        if (memory.change) {
            const bool untold =
                before && before->epoch > memory.change->epoch && decide::served(*before);
            memory.change->loss = untold ? together(memory.change->loss, loss) : loss;
            memory.change->proof = after.proof.value_or(ProofKind::ConfirmedFence);
        }
        tell(cluster, kube::EventType::Normal, "Promoting", "Failover",
             "epoch " + epoch + " is " + after.holder.value + "'s: " + reason);
    } else if (before && before->phase == Phase::Promoting && after.phase == Phase::Serving) {
        step(memory, "promoted");
        // Of the last step alone.
        const bool several = memory.change && after.epoch.value > memory.change->epoch.value + 1;
        if (memory.change && loss && !several) memory.change->loss = loss;
        if (several && loss && loss->value > 0) memory.change->loss.reset();
        tell(cluster, kube::EventType::Normal, "Promoted", "Failover",
             after.holder.value + " accepts writes in epoch " + epoch + ", timeline " +
                 std::to_string(after.timeline.value));
    } else if (after.phase == Phase::Closing && before && before->phase != Phase::Closing) {
        step(memory, "closing");
        tell(cluster, kube::EventType::Warning, "MandateEnds", "Failover",
             "no more grants for epoch " + epoch + ", the mandate of " + after.holder.value +
                 " runs out: " + reason);
    } else if (before && before->phase == Phase::Closing && after.phase == Phase::Serving) {
        tell(cluster, kube::EventType::Normal, "MandateGoesOn", "Failover", reason);
    } else if (!before) {
        tell(cluster, kube::EventType::Normal, "RecordCreated", "Create",
             after.holder.value + " is to be the first master: " + reason);
    } else if (before->positions.size() != after.positions.size()) {
        tell(cluster, kube::EventType::Normal, "Scaling", "Scale",
             std::to_string(after.positions.size()) + " slaves wanted: " + reason);
    }
}

std::optional<ChangeOfMaster> Story::routes_published(const Cluster& cluster, ClusterMemory& memory,
                                                      const Routes& routes) {
    if (!memory.change || !routes.master || routes.epoch <= memory.change->epoch) return {};
    step(memory, "published");
    const auto& under_way = *memory.change;
    ChangeOfMaster change;
    change.time = format_rfc3339(under_way.began_wall);
    change.epoch = static_cast<std::int64_t>(routes.epoch.value);
    change.from = under_way.from.value;
    change.to = routes.master->instance.value;
    change.reason = under_way.why;
    change.proof = to_string(under_way.proof);
    change.duration_ms = to_ms(clock_.now() - under_way.began);
    change.steps = under_way.steps;
    if (under_way.loss) change.loss_bytes = static_cast<std::int64_t>(under_way.loss->value);
    change.loss = loss_text(under_way.loss);
    std::string split;
    for (const auto& s : change.steps)
        split += (split.empty() ? "" : ", ") + s.name + " " + std::to_string(s.duration_ms) + " ms";
    tell(cluster, kube::EventType::Normal, "MasterChanged", "Failover",
         change.from + " -> " + change.to + " in " + std::to_string(change.duration_ms) + " ms (" +
             split + "); loss: " + change.loss);
    memory.change.reset();
    return change;
}

void Story::rejoined(const Cluster& cluster, ClusterMemory& memory,
                     const decide::Observation& seen) {
    const auto history = whole_history(cluster.status.history, memory.history);
    for (const auto& instance : seen.instances) {
        if (!instance.report) continue;
        auto exact = settle_loss(history, instance.name, instance.report->rejoined);
        if (!exact) continue;
        const bool lost = exact->loss_bytes.value_or(0) > 0;
        tell(cluster, lost ? kube::EventType::Warning : kube::EventType::Normal, "LossCounted",
             "Rejoin",
             instance.name.value + " rejoined by " +
                 std::string(to_string(instance.report->rejoined.by)) + ": the change to epoch " +
                 std::to_string(exact->epoch) + " lost " + exact->loss);
        record_change(memory.history, std::move(*exact));
    }
}

void Story::findings(const Cluster& cluster, ClusterMemory& memory,
                     const std::vector<decide::Finding>& findings) {
    for (const auto& finding : findings) {
        std::string now = (finding.holds ? "+" : "-") + finding.reason;
        // What is wrong with a pod or an object is in the text alone, and changes seldom; the
        // texts about master, slaves and reads change all through a failover, which has a story of
        // its own.
        if (!finding.holds && !is_summary(finding.type)) now += finding.message;
        auto& before = memory.last_conditions[finding.type];
        if (before == now) continue;
        const bool first = before.empty();
        before = now;
        if (first && finding.holds) continue;
        tell(cluster, finding.holds ? kube::EventType::Normal : kube::EventType::Warning,
             finding.reason, "Observe", finding.type + ": " + finding.message);
    }
}

}  // namespace matriarch::op
