#include "decide/ranking.h"

#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/succession.h"
#include "decide/synchronous.h"

namespace matriarch::decide {
namespace {

// The end of all that the old master can have acknowledged, as its volume says after its end; not
// that of a candidate which never became master.
std::optional<Lsn> end_of_master(const Facts& f, const InstanceView* master) {
    if (master == nullptr || !master->report) return {};
    const Report& report = *master->report;
    const bool says = report.end_of_wal.known() && !report.standby &&
                      report.timeline == f.record->timeline;  // INV-6
    return says ? std::optional(report.end_of_wal) : std::nullopt;
}

// The end of the WAL that may have been acknowledged, as far as anybody knows.
Lsn known_end(const Facts& f) {
    if (const auto end = end_of_master(f, f.master)) return *end;
    Lsn end;
    if (f.master && f.master->report && f.master->report->timeline == f.record->timeline)
        end = std::max(f.master->report->end_of_wal, f.master->report->flushed);
    for (const auto* slave : f.others)
        if (f.fresh(*slave) && slave->report->timeline == f.record->timeline)
            end = std::max(end, reach(*slave->report));
    return end;
}

// What an instance can give to others: all that it has, once no more comes. While PostgreSQL runs,
// the last record may be cut, and only what was replayed is known to be complete.
Rescue offer(const InstanceView& source) {
    const Report& report = *source.report;
    const bool running = report.state == PostgresState::Running;
    return Rescue{source.name,
                  source.host,
                  source.address,
                  kAgentPort,
                  report.timeline,
                  reach(report),
                  running ? report.replayed : report.end_of_wal};
}

// All that was ever acknowledged on the newest timeline is in the data of the one that opened it,
// also where it was to lead anew and ended before it was verified: others came to that number as
// slaves, and a slave's data does not become a master's without a timeline of its own.
bool has_own_timeline(const Facts& f, const Report& report) {
    return stopped_as_master(report) && report.timeline == f.record->timeline &&
           !report.timeline_opened_by.empty() &&
           report.timeline_opened_by == f.record->timeline_opened_by;
}

// A candidate that was chosen as a slave with all commits, and is a slave still: nothing was
// acknowledged since.
bool has_what_it_was_chosen_for(const Facts& f, const Report& report) {
    const bool as_slave = f.record->former_pod != f.record->holder_pod;
    return as_slave && !served(*f.record) && is_slaves_data(report) &&
           reach(report) >= must_reach(f);
}

// A full volume is a last resort.
int preference(const Facts& f, const Candidate& c) {
    constexpr int kLast = 10000;
    if (volume_is_full(f, *c.instance)) return kLast + f.position_of(c.instance->name);
    const auto& order = f.seen.spec.failover.order;
    const int position = f.position_of(c.instance->name);
    const auto wanted = std::find_if(order.begin(), order.end(), [&](const std::string& name) {
        return resolve(f, name) == c.instance;
    });
    if (wanted != order.end()) return static_cast<int>(wanted - order.begin());
    return 100 + (position == 0 ? 1000 : position);
}

}  // namespace

std::optional<Rescue> find_rescue(const Facts& f, const InstanceView& to,
                                  const InstanceView* old_master) {
    if (to.report->timeline != f.record->timeline) return {};
    const Lsn have = reach(*to.report);
    const auto all = end_of_master(f, old_master);
    if (all && have >= *all) return {};
    if (all && f.fresh(*old_master)) return offer(*old_master);
    const InstanceView* best = nullptr;
    for (const auto& i : f.seen.instances) {
        if (&i == &to || &i == old_master || !f.fresh(i)) continue;
        const Report& report = *i.report;
        const bool whole = report.state == PostgresState::Running ? report.in_recovery == Known::Yes
                                                                  : report.end_of_wal.known();
        if (!whole || report.timeline != f.record->timeline || reach(report) <= have) continue;
        if (best == nullptr || reach(report) > reach(*best->report)) best = &i;
    }
    return best == nullptr ? std::nullopt : std::optional(offer(*best));
}

bool stands_still(const Facts& f, const InstanceView& slave) {
    return mutant("receivers_stay") || (done(slave, halt(f, slave)) && !slave.report->receiving);
}

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

bool loss_is_accepted(const Facts& f, const InstanceView& by) {
    const bool promoting = f.record->phase == Phase::Promoting;
    if (promoting && f.record->loss_accepted) return true;
    const auto& failover = f.seen.spec.failover;
    const bool meant = (promoting && &by == f.master) || &by == resolve(f, failover.target);
    return change_requested(f) && failover.accept_data_loss && meant;
}

std::optional<Candidate> consider(const Facts& f, const InstanceView& instance, ProofKind proof,
                                  std::string& refusal) {
    const auto no = [&](std::string why) {
        refusal = instance.name.value + ": " + std::move(why);
        return std::nullopt;
    };
    if (!f.fresh(instance)) return no("its agent does not answer");
    const Report& report = *instance.report;
    if (!has_whole_data(report))
        return no("it has no complete data (" + std::string(to_string(report.state)) + ")");
    if (report.system_identifier != f.record->system_identifier)
        return no("its data is of another cluster");
    if (instance.pod_ending) return no("its pod is ending");
    if (!instance.clock_trouble.empty())
        return no(instance.clock_trouble + ", so it gets no mandate");

    Candidate c;
    c.instance = &instance;
    c.former_master = &instance == f.master;
    if (!c.former_master) {
        if (f.excluded(instance.name)) return no("spec.failover.exclude names it");
        if (report.state != PostgresState::Running || report.in_recovery != Known::Yes)
            return no("it is not running as a slave");
        // The others' patience is for those who hang, not with them. Whom a user asks for once no
        // more WAL can come need not stand still (target_gets_all).
        const bool heir = proof == ProofKind::ConfirmedFence && change_requested(f) &&
                          resolve(f, f.seen.spec.failover.target) == &instance;
        if (f.master_state != MasterState::Serving && !heir && !stands_still(f, instance))
            return no("its WAL receiver was not seen to stop");
    }
    const bool newest = report.timeline == f.record->timeline || mutant("older_timelines_lead");
    const bool forced = loss_is_accepted(f, instance) && report.timeline < f.record->timeline &&
                        resolve(f, f.seen.spec.failover.target) == &instance;
    if (!newest && !forced)
        return no("it is on timeline " + std::to_string(report.timeline.value) +
                  ", the cluster served from " + std::to_string(f.record->timeline.value));
    if (proof == ProofKind::Expiry)
        if (auto why = why_not_after_expiry(f, instance); !why.empty()) return no(std::move(why));
    if (forced) return c;  // INV-6: nothing is known of what it lacks
    const Lsn have = reach(report);
    if (!c.former_master) c.rescue = find_rescue(f, instance, f.master);
    c.lacking = distance(c.rescue ? c.rescue->end : have, known_end(f));
    // While it serves, the last record is still to be confirmed.
    const bool decided = f.master_state != MasterState::Serving;
    const bool own = c.former_master && (served(*f.record) || has_own_timeline(f, report) ||
                                         has_what_it_was_chosen_for(f, report));
    if (decided && !own && !loss_is_accepted(f, instance) &&
        !may_lack_commits(f, instance, have).empty()) {
        c.must_reach = c.rescue ? c.rescue->end : have;
        if (auto why = may_lack_commits(f, instance, c.must_reach); !why.empty())
            return no(std::move(why) +
                      " (spec.replication.mode); if they are gone for good, name who leads: "
                      "spec.failover.target and requestId, with acceptDataLoss");
    }
    c.has_all_commits = decided && all_commits_wait(*f.record) && !loss_is_accepted(f, instance);
    if (!c.has_all_commits && c.lacking > f.seen.spec.failover.max_lag &&
        !loss_is_accepted(f, instance))
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
        const bool whole = c.lacking.value == 0 || c.has_all_commits;
        if (!whole) continue;
        c.why = c.rescue              ? "first in order, its missing WAL can be fetched"
                : c.lacking.value > 0 ? "first in order, has all acknowledged commits"
                                      : "first in order, has all known WAL";
        out.winner = std::move(c);
        return out;
    }
    // Nobody can be made whole. The old master itself loses nothing, if it is here.
    std::string refusal;
    if (f.master != nullptr) {
        auto again = consider(f, *f.master, proof, refusal);
        if (again && again->lacking.value == 0) {
            again->why = "no slave has all known WAL, the old master has";
            out.winner = std::move(*again);
            return out;
        }
        // A candidate that never was master may have less than the slaves.
        if (again)
            slaves.push_back(std::move(*again));
        else
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
