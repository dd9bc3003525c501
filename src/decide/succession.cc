#include "decide/succession.h"

#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/ranking.h"
#include "decide/synchronous.h"
#include "decide/text.h"

namespace matriarch::decide {
namespace {

// "None" needs proof: the end of the old master's WAL as its fence found it.
std::optional<Bytes> loss_of(const Facts& f, const Candidate& winner) {
    if (winner.instance->report->timeline != f.record->timeline) return {};
    if (winner.has_all_commits || mutant("loss_is_none")) return Bytes(0);
    // Of a candidate that never served: what counts is what the master before it had.
    if (!served(*f.record)) return {};
    if (winner.former_master) return Bytes(0);
    const bool end_known = f.master && f.master->report && f.master->report->end_of_wal.known() &&
                           f.master->report->timeline == f.record->timeline;
    if (!end_known) return {};
    return winner.lacking;
}

// The slave that a user asked for has all that the old master ever had, or will have fetched it
// from the old master's agent before it is promoted. No more can come, so it need not stand still
// first, and nobody else's position matters: a hung slave holds up no switchover.
bool target_gets_all(const Facts& f, ProofKind proof) {
    if (proof != ProofKind::ConfirmedFence || !change_requested(f) || f.master == nullptr)
        return false;
    const auto* target = resolve(f, f.seen.spec.failover.target);
    std::string refusal;
    if (target == nullptr || target == f.master || !may_take_over(f, *target) ||
        !consider(f, *target, proof, refusal))
        return false;
    const Report& old = *f.master->report;
    if (old.timeline != f.record->timeline || !old.end_of_wal.known()) return false;
    const bool serves_wal = f.fresh(*f.master) && !old.standby;
    return serves_wal || target->report->position() >= old.end_of_wal;
}

// Its agent still looks for the end of the WAL: until that is known, a slave that lacks something
// can't be told from one that has all. A volume that stalls is read by nobody.
bool end_is_looked_for(const Facts& f, const Report& report) {
    return !report.fence_confirmed && !report.end_of_wal.known() &&
           report.state != PostgresState::Running && report.disk_stalled < f.policy.disk_stalled;
}

bool somebody_reaches(const Facts& f, Lsn end) {
    return std::any_of(f.others.begin(), f.others.end(), [&](const auto* slave) {
        return may_take_over(f, *slave) && slave->report->position() >= end;
    });
}

// The fence is on disk, and what the old master has beyond the slaves is not known yet, or its
// container is about to be started again and will send it. At most rescueSeconds.
bool old_master_is_awaited(const Facts& f, ProofKind proof) {
    if (proof != ProofKind::ConfirmedFence || f.master == nullptr || !f.master->report)
        return false;
    if (mutant("end_not_waited_for")) return false;
    const auto& since = f.seen.master_failed_since;
    if (since && f.now - *since >= f.seen.spec.failover.rescue) return false;
    const Report& report = *f.master->report;
    if (f.fresh(*f.master)) return end_is_looked_for(f, report);
    const bool returns = report.pod == f.master->pod && !f.master->pod_ending;
    const bool known = report.end_of_wal.known() && report.timeline == f.record->timeline;
    return returns && !(known && somebody_reaches(f, report.end_of_wal));
}

// Each full member alone ends the old master's third way, also one that can't lead. Its instance in
// another pod may become the candidate.
bool is_to_withhold(const Facts& f, const InstanceView& i) {
    if (!f.fresh(i) || (&i != f.master && may_take_over(f, i))) return false;
    const auto* member = f.record->candidates.find(i.pod);
    const bool full = member != nullptr && member->membership == Membership::Full;
    return full || (&i == f.master && !f.holds_record(i));
}

void withhold_promises(const Facts& f, Plan& plan) {
    for (const auto& i : f.seen.instances)
        if (is_to_withhold(f, i))
            give(f, plan, i, halt(f, i), "the old master must get no promise any more");
}

// The candidate was given up, and is fenced or in another pod. By hand it may have left recovery,
// but that served nobody.
bool never_promoted(const Facts& f) {
    if (served(*f.record) || f.master == nullptr || !f.master->report) return false;
    const Report& report = *f.master->report;
    const bool by_hand =
        report.timeline != f.record->timeline && report.timeline_opened_by != f.record->epoch_id;
    if (f.master_state == MasterState::Fenced) return report.standby || by_hand;
    return f.master_state == MasterState::Gone && f.fresh(*f.master) && is_slaves_data(report);
}

const InstanceView* who_goes_on(const Facts& f, ProofKind proof) {
    const auto* former = never_promoted(f) ? former_master(f) : nullptr;
    const bool waits = former != nullptr && proof == ProofKind::Expiry &&
                       !why_not_after_expiry(f, *former).empty();
    return waits ? nullptr : former;
}

Lsn reached_by_candidate(const Facts& f) {
    const Report& report = *f.master->report;
    return is_slaves_data(report) ? reach(report) : Lsn();
}

// Rather than that anything be lost.
Verdict lead_again(const Facts& f, Plan& plan, const InstanceView& former, ProofKind proof) {
    Candidate again;
    again.instance = &former;
    again.former_master = true;
    plan.steps.push_back({WriteRecord{succeed(f, again, proof), Bytes(0)},
                          former.name.value + ": it has all WAL, and " + f.record->holder.value +
                              " never became master"});
    return Verdict::Decided;
}

}  // namespace

const InstanceView* former_master(const Facts& f) {
    const auto* former = f.seen.find(f.record->former);
    if (former == nullptr || former == f.master || !f.fresh(*former) || former->pod_ending)
        return nullptr;
    const Report& r = *former->report;
    const bool masters = stopped_as_master(r) && r.fenced.value + 1 == f.record->epoch.value;
    const bool same =
        r.system_identifier == f.record->system_identifier && r.timeline == f.record->timeline;
    return masters && same ? former : nullptr;
}

Lsn must_reach(const Facts& f) {
    const auto* former = former_master(f);
    return former ? std::min(f.record->must_reach, former->report->end_of_wal)
                  : f.record->must_reach;
}

bool may_take_over(const Facts& f, const InstanceView& i) {
    return f.member(i.name) && runs_as_slave(f, i) &&
           i.report->system_identifier == f.record->system_identifier &&
           i.report->timeline == f.record->timeline;
}

bool has_successor(const Facts& f) {
    return std::any_of(f.others.begin(), f.others.end(),
                       [&](const auto* slave) { return may_take_over(f, *slave); });
}

// Slaves stand still, or had their time to.
// While an expiry is waited for they promise the old master nothing any more.
bool receivers_are_down(const Facts& f, Plan& plan) {
    if (mutant("receivers_stay")) return true;
    if (f.record->phase == Phase::Closing) withhold_promises(f, plan);
    bool down = true;
    for (const auto* slave : f.others) {
        if (!may_take_over(f, *slave)) continue;
        if (stands_still(f, *slave)) continue;
        give(f, plan, *slave, halt(f, *slave),
             "positions must stand still before they are compared");
        down = false;
    }
    if (down) return true;
    const bool patient =
        !f.seen.master_failed_since || f.now - *f.seen.master_failed_since < f.policy.halt_patience;
    return !patient && std::any_of(f.others.begin(), f.others.end(), [&](auto* s) {
        return may_take_over(f, *s) && done(*s, halt(f, *s));
    });
}

// Words for a target that is no slave of this cluster.
std::string no_such_target(const Facts& f) {
    const std::string names = join(f.record->positions);
    return f.seen.spec.failover.target + ": is no slave of this cluster, whose slaves are " +
           (names.empty() ? "none" : names) + " (slave1 to slave" +
           std::to_string(f.record->positions.size()) + ")";
}

bool count_as_served(const Facts& f, Plan& plan) {
    if (served(*f.record)) return false;
    for (const auto& i : f.seen.instances) {
        if (!i.report || i.report->timeline <= f.record->timeline) continue;
        if (i.report->system_identifier != f.record->system_identifier) continue;
        if (i.report->timeline_opened_by != f.record->epoch_id) continue;
        auto r = *f.record;
        r.timeline = i.report->timeline;
        r.timeline_opened_by = r.epoch_id;
        plan.steps.push_back({WriteRecord{std::move(r)},
                              f.record->holder.value +
                                  " was promoted, and clients may have found it before it was "
                                  "verified"});
        return true;
    }
    return false;
}

// The highest number that may be taken: one that is on a volume, and that of a candidate which was
// never seen to open what it was to open.
Timeline highest_taken(const Facts& f) {
    auto highest = std::max(f.record->reserved, f.record->timeline);
    if (!served(*f.record)) ++highest.value;
    for (const auto& i : f.seen.instances)
        if (i.report && i.report->system_identifier == f.record->system_identifier)
            highest = std::max(highest, i.report->timeline);
    return highest;
}

AuthorityRecord succeed(const Facts& f, const Candidate& winner, ProofKind proof) {
    auto r = *f.record;
    r.former = f.record->holder;
    r.former_pod = f.record->holder_pod;
    r.proof = proof;
    r.holder = winner.instance->name;
    r.holder_pod = winner.instance->pod;
    r.holder_node = winner.instance->node;
    if (!mutant("same_epoch_again")) r.epoch = Epoch(r.epoch.value + 1);
    r.epoch_id = f.seen.fresh_id;
    r.term = f.seen.term;
    r.ttl = f.seen.spec.failover.mandate;
    r.former_ttl = std::chrono::seconds(0);  // of a master that is over
    r.phase = Phase::Promoting;
    r.verified = false;
    r.reserved = highest_taken(f);
    // The old master takes the position that the new one leaves: nobody else moves.
    std::replace(r.positions.begin(), r.positions.end(), r.holder, r.former);
    ++r.candidates.version;
    r.candidates.members.clear();
    r.must_reach = winner.must_reach;
    r.loss_accepted = loss_is_accepted(f, *winner.instance);
    change_sync_rule(r, sync_rule_after(f, r));
    for (const auto& i : f.seen.instances)
        if (f.member(i.name) && i.name != r.holder && f.fresh(i))
            r.candidates.members.push_back({i.name, i.pod, Membership::Full});
    if (change_requested(f)) r.handled_request = f.seen.spec.failover.request_id;
    return r;
}

// A proof stands: choose and record the next master.
Verdict choose(const Facts& f, Plan& plan, ProofKind proof) {
    if (count_as_served(f, plan)) return Verdict::Decided;
    const auto* former = who_goes_on(f, proof);
    if (former && former->report->end_of_wal > reached_by_candidate(f))
        return lead_again(f, plan, *former, proof);
    const bool comparable = target_gets_all(f, proof) || receivers_are_down(f, plan);
    if (!comparable || old_master_is_awaited(f, proof)) return Verdict::Decided;
    Ranking ranking = rank(f, proof);
    if (change_requested(f)) {
        std::string refusal = no_such_target(f);
        const auto* target = resolve(f, f.seen.spec.failover.target);
        if (auto asked = target ? consider(f, *target, proof, refusal) : std::nullopt) {
            asked->why = "spec.failover.target names it";
            ranking.winner = std::move(asked);
        } else {
            plan.findings.push_back(
                {"RequestAccepted", false, "TargetRefused", "spec.failover.target " + refusal});
            if (f.seen.spec.failover.mode == FailoverMode::Manual) ranking = {{}, {refusal}};
        }
    } else if (f.seen.spec.failover.mode == FailoverMode::Manual) {
        std::string refusal = "the old master is away";
        ranking.winner = f.master ? consider(f, *f.master, proof, refusal) : std::nullopt;
        if (!ranking.winner)
            ranking.refused = {refusal,
                               "mode is manual: set spec.failover.target "
                               "and requestId to choose a slave"};
    }
    if (!ranking.winner && former) return lead_again(f, plan, *former, proof);
    if (!ranking.winner) {
        plan.findings.push_back({"FailoverPossible", false, "NoCandidate",
                                 "no instance may become master: " + join(ranking.refused) +
                                     (proof == ProofKind::Expiry ? "; " + ask_for_word(f) : "")});
        return Verdict::Decided;
    }
    plan.steps.push_back(
        {WriteRecord{succeed(f, *ranking.winner, proof), loss_of(f, *ranking.winner)},
         ranking.winner->instance->name.value + ": " + ranking.winner->why});
    return Verdict::Decided;
}

}  // namespace matriarch::decide
