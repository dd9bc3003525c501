// Rules from one master to the next. The order of steps is the design's:
// proof -> halt receivers -> rank -> CAS promoting -> promote and repoint -> verify -> CAS serving.
#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/ranking.h"
#include "decide/rules.h"
#include "decide/synchronous.h"

namespace matriarch::decide {
namespace {

std::string join(const std::vector<std::string>& parts) {
    std::string out;
    for (const auto& part : parts) out += (out.empty() ? "" : "; ") + part;
    return out;
}

bool runs_as_slave(const Facts& f, const InstanceView& i) {
    return f.fresh(i) && i.report->state == PostgresState::Running &&
           i.report->in_recovery == Known::Yes;
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

Order lead(const Facts& f) {
    Order o = order_for(f, *f.master, OrderKind::Lead, f.master->name.value);
    empower(f, o);
    return o;
}

// What the candidate lacks could not be fetched: the same without a rescue.
Order without_rescue(Order order) {
    order.id = OrderId(order.id.value + "/without-rescue");
    order.rescue.reset();
    return order;
}

// What the old master had, as its fence found it, and the switch to the new timeline left out;
// absent: its end is not known.
std::optional<Bytes> loss_at_switch(const Facts& f) {
    const auto* former = f.seen.find(f.record->former);
    const auto& history = f.master->report->history;
    if (former == f.master) return Bytes(0);
    if (all_commits_wait(*f.record)) return {};  // what is left out was acknowledged to nobody
    if (former == nullptr || !former->report || history.empty()) return {};
    const Report& old = *former->report;
    const bool known = old.fenced.value + 1 >= f.record->epoch.value && old.end_of_wal.known() &&
                       old.timeline == history.back().timeline;  // INV-6
    if (!known) return {};
    return distance(history.back().end, old.end_of_wal);
}

// What the candidate lacks and nobody sends, if it is more than may be lost.
std::optional<Finding> lacks_too_much(const Facts& f, bool rescue_failed) {
    const Report& report = *f.master->report;
    const auto& failover = f.seen.spec.failover;
    const auto* former = f.seen.find(f.record->former);
    if (failover.accept_data_loss) return {};
    const Lsn have = std::max(report.position(), report.end_of_wal);
    Bytes lacking = distance(have, f.record->must_reach);
    std::string limit = "spec.replication.mode allows none to be lost";
    if (lacking.value == 0 && rescue_failed && !all_commits_wait(*f.record)) {
        const auto missed = find_rescue(f, *f.master, former);
        Lsn end = missed ? missed->end : Lsn();
        if (former && former->report) end = std::max(end, former->report->end_of_wal);
        lacking = distance(have, end);
        if (lacking <= failover.max_lag) return {};
        limit = "spec.failover.maxLag allows " + std::to_string(failover.max_lag.value);
    }
    if (lacking.value == 0) return {};
    const std::string why =
        rescue_failed ? report.order.message : f.record->former.value + " does not answer";
    return Finding{"FailoverPossible", false, "RescueFailed",
                   f.master->name.value + " lacks " + std::to_string(lacking.value) +
                       " bytes that can't be fetched (" + why + "), " + limit + ": bring " +
                       f.record->former.value + " back, or set spec.failover.acceptDataLoss"};
}

// The order of phase promoting, the same for every operator that resumes it.
Order promote(const Facts& f) {
    Order o = order_for(f, *f.master, OrderKind::Promote, f.master->name.value);
    o.reserved = std::max(f.record->timeline, f.record->reserved);
    empower(f, o);
    // The record in phase promoting is the stored form of the proof.
    Proof proof{f.record->proof.value_or(ProofKind::ConfirmedFence), f.record->former, PodUid(),
                Epoch(f.record->epoch.value - 1), Incarnation()};
    const auto* former = f.seen.find(f.record->former);
    proof.pod = f.record->former_pod;
    if (former && former->report && former->report->fenced >= proof.epoch)
        proof.confirmed_by = former->report->incarnation;
    if (f.master->report->in_recovery != Known::No && !mutant("rescue_never"))
        o.rescue = find_rescue(f, *f.master, former);
    o.proof = std::move(proof);
    return o;
}

// Slaves stand still, or had their time to.
// While an expiry is waited for they promise the old master nothing any more.
bool receivers_are_down(const Facts& f, Plan& plan) {
    bool down = true;
    for (const auto* slave : f.others) {
        if (!may_take_over(f, *slave)) continue;
        const Order order = halt(f, *slave);
        if (done(*slave, order) && !slave->report->receiving) continue;
        give(f, plan, *slave, order, "positions must stand still before they are compared");
        down = false;
    }
    if (down) return true;
    const bool patient =
        !f.seen.master_failed_since || f.now - *f.seen.master_failed_since < f.policy.halt_patience;
    return !patient && std::any_of(f.others.begin(), f.others.end(), [&](auto* s) {
        return may_take_over(f, *s) && done(*s, halt(f, *s));
    });
}

AuthorityRecord succeed(const Facts& f, const Candidate& winner, ProofKind proof) {
    auto r = *f.record;
    r.former = f.record->holder;
    r.former_pod = f.record->holder_pod;
    r.proof = proof;
    r.holder = winner.instance->name;
    r.holder_pod = winner.instance->pod;
    r.holder_node = winner.instance->node;
    r.epoch = Epoch(r.epoch.value + 1);
    r.epoch_id = f.seen.fresh_id;
    r.term = f.seen.term;
    r.ttl = f.seen.spec.failover.mandate;
    r.former_ttl = std::chrono::seconds(0);  // of a master that is over
    r.phase = Phase::Promoting;
    r.reserved = std::max(r.reserved, r.timeline);
    // The old master takes the position that the new one leaves: nobody else moves.
    std::replace(r.positions.begin(), r.positions.end(), r.holder, r.former);
    ++r.candidates.version;
    r.candidates.members.clear();
    r.must_reach = winner.must_reach;
    change_sync_rule(r, sync_rule_after(f, r));
    for (const auto& i : f.seen.instances)
        if (f.member(i.name) && i.name != r.holder && f.fresh(i))
            r.candidates.members.push_back({i.name, i.pod, Membership::Full});
    if (change_requested(f)) r.handled_request = f.seen.spec.failover.request_id;
    return r;
}

// "None" needs proof: the end of the old master's WAL as its fence found it.
std::optional<Bytes> loss_of(const Facts& f, const Candidate& winner) {
    if (winner.instance->report->timeline != f.record->timeline) return {};
    if (winner.former_master || winner.has_all_commits || mutant("loss_is_none")) return Bytes(0);
    const bool end_known = f.master && f.master->report && f.master->report->end_of_wal.known() &&
                           f.master->report->timeline == f.record->timeline;
    if (!end_known) return {};
    return winner.lacking;
}

// Words for a target that is no slave of this cluster.
std::string no_such_target(const Facts& f) {
    std::string names;
    for (const auto& name : f.record->positions) names += (names.empty() ? "" : ", ") + name.value;
    return f.seen.spec.failover.target + ": is no slave of this cluster, whose slaves are " +
           (names.empty() ? "none" : names) + " (slave1 to slave" +
           std::to_string(f.record->positions.size()) + ")";
}

// The slave that a user asked for stands still and has all that the old master ever had: nobody
// else's position matters, so that a hung slave holds up no switchover.
bool target_has_all(const Facts& f, ProofKind proof) {
    if (proof != ProofKind::ConfirmedFence || !change_requested(f) || f.master == nullptr)
        return false;
    const auto* target = resolve(f, f.seen.spec.failover.target);
    if (target == nullptr || target == f.master || !may_take_over(f, *target)) return false;
    const Report& old = *f.master->report;
    return done(*target, halt(f, *target)) && !target->report->receiving &&
           old.timeline == f.record->timeline && old.end_of_wal.known() &&
           target->report->position() >= old.end_of_wal;
}

// The fence is on disk, and its agent still looks for the end of the WAL: until that is known, a
// slave that lacks something can't be told from one that has all.
bool end_is_looked_for(const Facts& f) {
    if (f.master == nullptr || !f.fresh(*f.master)) return false;
    const Report& report = *f.master->report;
    const bool over = report.fence_confirmed || report.end_of_wal.known() ||
                      report.state == PostgresState::Running ||
                      report.disk_stalled >= f.policy.disk_stalled;  // nobody reads from that
    const auto& since = f.seen.master_failed_since;
    return !over && (!since || f.now - *since < f.seen.spec.failover.rescue);
}

// A proof stands: choose and record the next master.
Verdict choose(const Facts& f, Plan& plan, ProofKind proof) {
    const bool still = receivers_are_down(f, plan) || target_has_all(f, proof);
    if (!still || end_is_looked_for(f)) return Verdict::Decided;
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
    if (!ranking.winner) {
        plan.findings.push_back({"FailoverPossible", false, "NoCandidate",
                                 "no instance may become master: " + join(ranking.refused)});
        return Verdict::Decided;
    }
    plan.steps.push_back(
        {WriteRecord{succeed(f, *ranking.winner, proof), loss_of(f, *ranking.winner)},
         ranking.winner->instance->name.value + ": " + ranking.winner->why});
    return Verdict::Decided;
}

// The former master of a candidate that never became one, if it is here with all of its WAL, and
// that goes further than `reached`.
const InstanceView* former_with_more(const Facts& f, Lsn reached) {
    const auto* former = f.seen.find(f.record->former);
    if (former == nullptr || former == f.master || !f.fresh(*former) || former->pod_ending)
        return {};
    const Report& r = *former->report;
    const bool stopped = r.state == PostgresState::Stopped || r.state == PostgresState::Dead;
    const bool masters = stopped && !r.standby && r.end_of_wal.known() && r.fence_confirmed &&
                         r.fenced.value + 1 == f.record->epoch.value;
    const bool same =
        r.system_identifier == f.record->system_identifier && r.timeline == f.record->timeline;
    return masters && same && r.end_of_wal > reached ? former : nullptr;
}

// The candidate was given up and is fenced. If it never was master, nothing was acknowledged since
// its former master, which then goes on rather than that anything be lost.
Verdict replace_candidate(const Facts& f, Plan& plan) {
    const Report& report = *f.master->report;
    const bool never_promoted = report.standby && report.timeline == f.record->timeline;
    const auto* former = never_promoted ? former_with_more(f, report.end_of_wal) : nullptr;
    if (former == nullptr) return choose(f, plan, ProofKind::ConfirmedFence);
    Candidate again;
    again.instance = former;
    again.former_master = true;
    plan.steps.push_back(
        {WriteRecord{succeed(f, again, ProofKind::ConfirmedFence), Bytes(0)},
         former->name.value + ": it has WAL that " + f.record->holder.value + " could not fetch"});
    return Verdict::Decided;
}

// The holder is here, unfenced, and nobody was promoted: grants go on in the same epoch, where it
// was left.
Verdict reopen(const Facts& f, Plan& plan) {
    auto r = *f.record;
    const bool verified = r.timeline_opened_by == r.epoch_id;
    r.phase = verified ? Phase::Serving : Phase::Promoting;
    plan.steps.push_back({WriteRecord{std::move(r)},
                          f.record->holder.value + " answers before anybody was promoted"});
    return Verdict::Decided;
}

// PostgreSQL ended on the master, its agent is here.
Verdict end_of_master(const Facts& f, Plan& plan) {
    const Report& report = *f.master->report;
    if (report.state == PostgresState::Stopping) return Verdict::Decided;  // its last WAL goes out

    const bool successor = has_successor(f);
    const bool automatic = f.seen.spec.failover.mode == FailoverMode::Automatic;
    if (!f.master->pod_ending && !change_requested(f) && !(automatic && successor)) {
        if (f.record->phase == Phase::Closing) return reopen(f, plan);
        give(f, plan, *f.master, lead(f),
             automatic ? "no slave can take over" : "mode is manual: starts in place");
        return Verdict::Decided;
    }
    give(f, plan, *f.master, fence(f, *f.master, false), "its PostgreSQL ended");
    receivers_are_down(f, plan);
    return Verdict::Decided;
}

// Its agent answers, its PostgreSQL or its disk does not: neither ever will in time.
Verdict end_stuck_master(const Facts& f, Plan& plan) {
    const Report& report = *f.master->report;
    const std::string what =
        report.frozen >= f.policy.frozen
            ? "its postmaster has taken no connection for " + std::to_string(report.frozen.count())
            : "a write to its disk has taken " + std::to_string(report.disk_stalled.count());
    plan.findings.push_back(
        {"MasterServing", false, "MasterStuck", f.master->name.value + ": " + what + " ms"});
    const bool successor = has_successor(f);
    if (!successor || f.seen.spec.failover.mode != FailoverMode::Automatic) return Verdict::Decided;
    give(f, plan, *f.master, fence(f, *f.master, false), what + " ms");
    receivers_are_down(f, plan);
    return Verdict::Decided;
}

}  // namespace

// The master's mandate ran out, as far as clocks of 4 % can tell.
Verdict wait_for_expiry(const Facts& f, Plan& plan) {
    if (f.record->phase != Phase::Closing) return Verdict::Pass;
    plan.phase = "FailingOver";
    plan.master_failed = true;
    plan.recheck = milliseconds(500);
    const std::string& name = f.record->holder.value;
    if (f.master_state == MasterState::Fenced) return choose(f, plan, ProofKind::ConfirmedFence);
    if (f.master_state == MasterState::Serving || f.master_state == MasterState::Starting)
        return reopen(f, plan);
    if (f.master_state == MasterState::Ended) return end_of_master(f, plan);
    if (f.master_state == MasterState::Stuck) return end_stuck_master(f, plan);
    if (!administrators_word(f).empty()) return choose(f, plan, ProofKind::AdministratorsWord);
    receivers_are_down(f, plan);
    const auto over = mandate_is_over(f);
    if (!over || f.now < *over) {
        if (over) plan.recheck = std::min<Duration>(plan.recheck, *over - f.now);
        plan.findings.push_back({"MasterServing", false, "WaitingForExpiry",
                                 name + " is silent: its mandate must run out before another is "
                                        "promoted"});
        return Verdict::Decided;
    }
    return choose(f, plan, ProofKind::Expiry);
}

Verdict obey_higher_epochs(const Facts& f, Plan& plan) {
    const InstanceView* knows = nullptr;
    std::vector<const InstanceView*> serving;
    for (const auto& i : f.seen.instances) {
        if (!i.report) continue;
        if (i.report->epoch > f.record->epoch &&
            (knows == nullptr || i.report->epoch > knows->report->epoch))
            knows = &i;
        if (i.report->state == PostgresState::Running && i.report->in_recovery == Known::No)
            serving.push_back(&i);
    }
    if (knows == nullptr) return Verdict::Pass;
    const Epoch highest = knows->report->epoch;
    std::string what = knows->name.value + " knows epoch " + std::to_string(highest.value) +
                       ", Lease " + f.seen.cluster.name + " says " +
                       std::to_string(f.record->epoch.value) +
                       ": was the Kubernetes API restored from a backup? ";
    plan.phase = "Recovering";
    const bool one = serving.size() == 1 && f.fresh(*serving[0]) &&
                     serving[0]->report->epoch == highest &&
                     serving[0]->report->system_identifier == f.record->system_identifier;
    if (one && f.seen.spec.failover.mode != FailoverMode::Paused) {
        what += serving[0]->name.value + " serves in it and goes on in the next";
        Candidate again;
        again.instance = serving[0];
        again.former_master = true;
        auto r = succeed(f, again, ProofKind::ConfirmedFence);
        // The lost record's rule, which the one that serves knows.
        if (const auto& rule = serving[0]->report->sync; rule && rule->waits())
            r.former_sync.push_back(*rule);
        r.epoch = Epoch(highest.value + 1);
        r.timeline = serving[0]->report->timeline;
        plan.steps.push_back({WriteRecord{std::move(r), Bytes(0)}, what});
    } else {
        what +=
            "Nothing is changed: " +
            std::string(serving.empty() ? "nobody" : "more than one, or one of another epoch,") +
            " serves; fence all but the right one and wait";
        plan.phase = "Blocked";
    }
    plan.findings.push_back({"Ready", false, "RecordBehind", std::move(what)});
    return Verdict::Decided;
}

Verdict respect_pause(const Facts& f, Plan& plan) {
    if (f.seen.spec.failover.mode != FailoverMode::Paused) return Verdict::Pass;
    plan.phase = "Paused";
    plan.findings.push_back({"Paused", true, "ModePaused",
                             "spec.failover.mode is paused: nothing is promoted, started or "
                             "repointed until it is automatic or manual"});
    return Verdict::Decided;
}

Verdict finish_promotion(const Facts& f, Plan& plan) {
    if (f.record->phase != Phase::Promoting) return Verdict::Pass;
    plan.phase = "FailingOver";
    plan.recheck = milliseconds(500);
    if (f.master == nullptr || !f.holds_record(*f.master) || !f.fresh(*f.master)) {
        plan.findings.push_back({"FailoverPossible", false, "CandidateSilent",
                                 "the agent of " + f.record->holder.value + ", chosen for epoch " +
                                     std::to_string(f.record->epoch.value) + ", does not answer"});
        // Giving it up needs the same proofs over it as over a master.
        if (!administrators_word(f).empty()) return choose(f, plan, ProofKind::AdministratorsWord);
        return stop_granting(f, plan);
    }
    const Report& report = *f.master->report;
    if (f.master_state == MasterState::Serving && report.writable == Known::Yes &&
        report.epoch_id == f.record->epoch_id) {
        auto r = *f.record;
        r.phase = Phase::Serving;
        r.timeline = report.timeline;
        r.timeline_opened_by = r.epoch_id;
        plan.steps.push_back(
            {WriteRecord{std::move(r), loss_at_switch(f)}, "verified: it accepts writes"});
        return Verdict::Decided;
    }
    if (f.master_state == MasterState::Fenced) return replace_candidate(f, plan);
    const Order give_up = fence(f, *f.master, false);
    if (heard(*f.master, give_up)) return Verdict::Decided;
    const bool slave = report.in_recovery == Known::Yes || report.standby ||
                       (report.order.kind == OrderKind::Promote && report.epoch == f.record->epoch);
    Order order = slave ? promote(f) : lead(f);
    const bool may_lose = f.seen.spec.failover.accept_data_loss;
    if (slave && !may_lose && failed(*f.master, order) &&
        former_with_more(f, report.position()) != nullptr) {
        give(f, plan, *f.master, give_up, "the WAL that it lacks can't be fetched");
        return Verdict::Decided;
    }
    const Order plain = without_rescue(order);
    const bool rescue_failed = slave && (failed(*f.master, order) || heard(*f.master, plain));
    if (rescue_failed) order = plain;
    const bool unpromoted = report.in_recovery == Known::Yes || report.standby;
    if (unpromoted && !order.rescue && !heard(*f.master, order))
        if (auto finding = lacks_too_much(f, rescue_failed)) {
            plan.findings.push_back(std::move(*finding));
            return Verdict::Decided;
        }
    if (failed(*f.master, order)) {
        give(f, plan, *f.master, give_up, "its promotion failed");
        return Verdict::Decided;
    }
    give(f, plan, *f.master, order, "chosen in the record");
    for (const auto* other : f.others)
        if (f.member(other->name) && runs_as_slave(f, *other))
            give(f, plan, *other, follow(f, *other, *f.master), "the master changes");
    return Verdict::Decided;
}

Verdict hand_over_on_request(const Facts& f, Plan& plan) {
    if (!change_requested(f) || f.master_state != MasterState::Serving) return Verdict::Pass;
    const auto& failover = f.seen.spec.failover;
    const auto* target = resolve(f, failover.target);
    std::string refusal = no_such_target(f);
    if (target == f.master) {
        auto r = *f.record;
        r.handled_request = failover.request_id;
        plan.steps.push_back({WriteRecord{std::move(r)}, "the target is the master already"});
        return Verdict::Decided;
    }
    const bool fit = target != nullptr && f.member(target->name) &&
                     consider(f, *target, ProofKind::ConfirmedFence, refusal);
    const Bytes behind =
        fit ? distance(target->report->position(), f.master->report->flushed) : Bytes(0);
    if (fit && behind > failover.max_lag)
        refusal = target->name.value + ": is " + std::to_string(behind.value) +
                  " bytes behind, spec.failover.maxLag allows " +
                  std::to_string(failover.max_lag.value);
    if (!fit || behind > failover.max_lag) {
        plan.findings.push_back({"RequestAccepted", false, "TargetRefused",
                                 "spec.failover.target " + refusal + "; nothing was changed"});
        return Verdict::Pass;
    }
    plan.phase = "SwitchingOver";
    plan.recheck = milliseconds(500);
    Order stop = fence(f, *f.master, true);
    stop.heir = target->name;
    give(f, plan, *f.master, std::move(stop), "request " + failover.request_id);
    return Verdict::Decided;
}

Verdict replace_master(const Facts& f, Plan& plan) {
    if (f.master_state == MasterState::Serving) return Verdict::Pass;
    plan.recheck = milliseconds(500);
    plan.phase = "FailingOver";
    plan.master_failed = true;
    const std::string name = f.record->holder.value;
    switch (f.master_state) {
        case MasterState::Fenced:
            return choose(f, plan, ProofKind::ConfirmedFence);
        case MasterState::Ended:
            return end_of_master(f, plan);
        case MasterState::Stuck:
            return end_stuck_master(f, plan);
        case MasterState::Starting:
            plan.phase = "Recovering";
            break;
        case MasterState::Silent:
        case MasterState::Gone:
            if (mutant("promote_the_silent")) return choose(f, plan, ProofKind::ConfirmedFence);
            plan.findings.push_back(
                {"MasterServing", false, "MasterSilent",
                 name + " does not answer (" + std::string(to_string(f.master_state)) +
                     "): without a proof that it acknowledges nothing more nobody is promoted; "
                     "the end of its mandate, or its agent's word, settles it, or yours, if its "
                     "machine is off for certain: spec.failover.confirmDead.podUid: " +
                     f.record->holder_pod.value});
            if (!administrators_word(f).empty())
                return choose(f, plan, ProofKind::AdministratorsWord);
            return stop_granting(f, plan);
        case MasterState::Serving:
            break;
    }
    return Verdict::Decided;
}

}  // namespace matriarch::decide
