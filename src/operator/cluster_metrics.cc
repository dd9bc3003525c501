#include "operator/cluster_metrics.h"

#include <algorithm>

namespace matriarch::op {
namespace {

using telemetry::Labels;
using telemetry::Sample;
using telemetry::SampleType;

class Writer {
  public:
    Writer(const ClusterKey& cluster, std::vector<Sample>& out)
        : labels_{{"namespace", cluster.name_space}, {"cluster", cluster.name}}, out_(out) {}

    void gauge(const char* name, const char* help, double value, const Labels& more = {}) {
        add(SampleType::Gauge, name, help, value, more);
    }
    void counter(const char* name, const char* help, double value, const Labels& more = {}) {
        add(SampleType::Counter, name, help, value, more);
    }

  private:
    void add(SampleType type, const char* name, const char* help, double value,
             const Labels& more) {
        Labels labels = labels_;
        labels.insert(more.begin(), more.end());
        out_.push_back({name, help, type, std::move(labels), value});
    }

    const Labels labels_;
    std::vector<Sample>& out_;
};

// Fit for reads by the published routes, whatever its weight.
bool healthy(const std::optional<Routes>& routes, const std::string& instance) {
    return routes && std::any_of(routes->slaves.begin(), routes->slaves.end(), [&](const auto& s) {
               return s.instance.value == instance && s.state == RouteState::Ready;
           });
}

void slave(Writer& w, const MemberStatus& m, const std::optional<Routes>& routes) {
    const Labels replica{{"replica", m.name}};
    w.gauge("db_replica_health", "1 while this slave is fit for reads.", healthy(routes, m.name),
            replica);
    w.gauge("postgresql_replica_up", "1 while this slave runs and streams.", m.ready, replica);
    if (m.transactions)
        w.counter("db_replica_queries_total",
                  "Transactions that ended on this slave; a single statement is one.",
                  static_cast<double>(*m.transactions), replica);
    if (!m.lag_ms) return;  // of a silent one nothing is known
    const double lag = static_cast<double>(*m.lag_ms) / 1000;
    w.gauge("db_replica_lag_seconds", "Replay lag; 0 when caught up.", lag, replica);
    w.gauge("postgresql_replica_lag_seconds", "Replay lag; 0 when caught up.", lag, replica);
}

void last_change(Writer& w, const ChangeOfMaster& change) {
    w.gauge("matriarch_last_change_seconds",
            "From the end of the last master that was replaced to the route to the next.",
            static_cast<double>(change.duration_ms) / 1000);
    // Absent: not known.
    if (change.loss_bytes)
        w.gauge("matriarch_last_change_loss_bytes",
                "WAL that the last change of master lost, at most.",
                static_cast<double>(*change.loss_bytes));
}

void write(const ClusterKey& cluster, const ClusterStatus& status,
           const std::optional<Routes>& routes, std::vector<Sample>& out) {
    Writer w(cluster, out);
    for (const auto& member : status.members)
        if (member.role == "slave") slave(w, member, routes);
    w.gauge("matriarch_cluster_epoch", "Rises by one with every change of master.",
            static_cast<double>(status.epoch));
    for (const auto& condition : status.conditions)
        w.gauge("matriarch_cluster_condition", "1 while this condition of the status is True.",
                condition.status == kube::ConditionStatus::True, {{"type", condition.type}});
    if (!status.history.empty()) last_change(w, status.history.front());
}

// What the metrics and the health API tell of a status: figures, no texts for people.
ClusterStatus figures_of(const ClusterStatus& status) {
    ClusterStatus out;
    out.master = status.master;
    out.epoch = status.epoch;
    for (MemberStatus member : status.members) {
        member.pod.clear();
        member.node.clear();
        member.message.clear();
        out.members.push_back(member);  // a copy, since what is cleared keeps its memory
    }
    for (const auto& condition : status.conditions)
        out.conditions.push_back({.type = condition.type, .status = condition.status});
    if (!status.history.empty()) {
        const auto& last = status.history.front();
        ChangeOfMaster& change = out.history.emplace_back();
        change.duration_ms = last.duration_ms;
        change.loss_bytes = last.loss_bytes;
    }
    return out;
}

}  // namespace

ClusterMetrics::ClusterMetrics(telemetry::Registry& registry) {
    registry.add_collector([this](std::vector<Sample>& out) { collect(out); });
}

void ClusterMetrics::show(const ClusterKey& cluster, const ClusterStatus& status,
                          const std::optional<Routes>& routes) {
    Shown shown{figures_of(status), routes};
    const std::lock_guard lock(mutex_);
    shown_[cluster] = std::move(shown);
}

void ClusterMetrics::forget(const ClusterKey& cluster) {
    const std::lock_guard lock(mutex_);
    shown_.erase(cluster);
}

std::optional<ClusterMetrics::Shown> ClusterMetrics::shown(const ClusterKey& cluster) const {
    const std::lock_guard lock(mutex_);
    const auto found = shown_.find(cluster);
    return found == shown_.end() ? std::nullopt : std::optional(found->second);
}

void ClusterMetrics::collect(std::vector<Sample>& out) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [cluster, shown] : shown_) write(cluster, shown.status, shown.routes, out);
}

}  // namespace matriarch::op
