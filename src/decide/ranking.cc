#include "decide/ranking.h"

#include <algorithm>

#include "decide/mandate.h"

namespace matriarch::decide {
namespace {

bool excluded(const Facts& f, const InstanceView& instance) {
    const auto& names = f.seen.spec.failover.exclude;
    return std::find(names.begin(), names.end(), instance.name.value) != names.end();
}

// How far this instance's own copy goes.
Lsn reach(const Report& report) {
    return report.state == PostgresState::Running ? report.position() : report.end_of_wal;
}

// The end of the WAL that may have been acknowledged, as far as anybody knows.
Lsn known_end(const Facts& f) {
    Lsn end;
    if (f.master && f.master->report && f.master->report->timeline == f.record->timeline)
        end = std::max(f.master->report->end_of_wal, f.master->report->flushed);
    for (const auto* slave : f.others)
        if (f.fresh(*slave) && slave->report->timeline == f.record->timeline)
            end = std::max(end, reach(*slave->report));
    return end;
}

// The old master's agent still has the WAL when only PostgreSQL or its container ended.
std::optional<Rescue> rescue_from_master(const Facts& f, Lsn have) {
    if (f.master == nullptr || !f.fresh(*f.master)) return {};
    const Report& source = *f.master->report;
    if (source.timeline != f.record->timeline || !(source.end_of_wal > have)) return {};
    return Rescue{f.master->name, f.master->host,  f.master->address,
                  kAgentPort,     source.timeline, source.end_of_wal};
}

int preference(const Facts& f, const Candidate& c) {
    const auto& order = f.seen.spec.failover.order;
    const int position = f.position_of(c.instance->name);
    const auto wanted = std::find_if(order.begin(), order.end(), [&](const std::string& name) {
        return resolve(f, name) == c.instance;
    });
    if (wanted != order.end()) return static_cast<int>(wanted - order.begin());
    return 100 + (position == 0 ? 1000 : position);
}

}  // namespace

const InstanceView* resolve(const Facts& f, const std::string& target) {
    if (f.record == nullptr) return nullptr;
    if (target.starts_with("slave")) {
        const auto n = static_cast<std::size_t>(std::atoi(target.c_str() + 5));
        if (n >= 1 && n <= f.record->positions.size())
            return f.seen.find(f.record->positions[n - 1]);
    }
    return f.seen.find(InstanceName(target));
}

bool change_requested(const Facts& f) {
    const auto& failover = f.seen.spec.failover;
    return f.record != nullptr && !failover.target.empty() && !failover.request_id.empty() &&
           failover.request_id != f.record->handled_request;
}

std::optional<Candidate> consider(const Facts& f, const InstanceView& instance, ProofKind proof,
                                  std::string& refusal) {
    const auto no = [&](std::string why) {
        refusal = instance.name.value + ": " + std::move(why);
        return std::nullopt;
    };
    if (!f.fresh(instance)) return no("its agent does not answer");
    const Report& report = *instance.report;
    if (report.state == PostgresState::NoData || report.state == PostgresState::Cloning ||
        report.state == PostgresState::Broken)
        return no("it has no complete data (" + std::string(to_string(report.state)) + ")");
    if (report.system_identifier != f.record->system_identifier)
        return no("its data is of another cluster");
    if (instance.pod_ending) return no("its pod is ending");

    Candidate c{&instance, &instance == f.master, Bytes(0), std::nullopt, ""};
    if (!c.former_master) {
        if (excluded(f, instance)) return no("spec.failover.exclude names it");
        if (report.state != PostgresState::Running || report.in_recovery != Known::Yes)
            return no("it is not running as a slave");
    }
    if (report.timeline != f.record->timeline)
        return no("it is on timeline " + std::to_string(report.timeline.value) +
                  ", the cluster served from " + std::to_string(f.record->timeline.value));
    if (proof == ProofKind::Expiry)
        if (auto why = why_not_after_expiry(f, instance); !why.empty()) return no(std::move(why));
    const Lsn have = reach(report);
    c.lacking = distance(have, known_end(f));
    if (c.lacking.value > 0) c.rescue = rescue_from_master(f, have);
    if (!c.rescue && c.lacking > f.seen.spec.failover.max_lag &&
        !f.seen.spec.failover.accept_data_loss)
        return no("it lacks " + std::to_string(c.lacking.value) +
                  " bytes, spec.failover.maxLag allows " +
                  std::to_string(f.seen.spec.failover.max_lag.value));
    return c;
}

Ranking rank(const Facts& f, ProofKind proof) {
    Ranking out;
    std::vector<Candidate> slaves;
    for (const auto* slave : f.others) {
        std::string refusal = slave->name.value + ": not a member";
        auto candidate = f.member(slave->name) ? consider(f, *slave, proof, refusal) : std::nullopt;
        if (candidate)
            slaves.push_back(std::move(*candidate));
        else
            out.refused.push_back(std::move(refusal));
    }
    std::stable_sort(slaves.begin(), slaves.end(), [&](const Candidate& a, const Candidate& b) {
        return preference(f, a) < preference(f, b);
    });
    for (auto& c : slaves) {
        const bool whole = c.lacking.value == 0 || c.rescue;
        if (!whole) continue;
        c.why = c.rescue ? "first in order, its missing WAL can be fetched"
                         : "first in order, has all known WAL";
        out.winner = std::move(c);
        return out;
    }
    // Nobody can be made whole: the old master itself loses nothing, if it is here.
    std::string refusal;
    if (f.master != nullptr) {
        if (auto again = consider(f, *f.master, proof, refusal)) {
            again->why = "no slave has all known WAL, the old master has";
            out.winner = std::move(*again);
            return out;
        }
        out.refused.push_back(std::move(refusal));
    }
    const auto best = std::min_element(slaves.begin(), slaves.end(), [](auto& a, auto& b) {
        return a.lacking < b.lacking;  // the first of equals has the better position
    });
    if (best != slaves.end()) {
        best->why = "has the most WAL";
        out.winner = std::move(*best);
    }
    return out;
}

}  // namespace matriarch::decide
