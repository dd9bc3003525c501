// Rules from one master to the next. The order of steps is the design's:
// proof -> halt receivers -> rank -> CAS promoting -> promote and repoint -> verify -> CAS serving.
#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/poolers.h"
#include "decide/ranking.h"
#include "decide/rules.h"
#include "decide/succession.h"

namespace matriarch::decide {
namespace {

// The holder is here, unfenced, and nobody was promoted: grants go on in the same epoch, where it
// was left.
Verdict reopen(const Facts& f, Plan& plan) {
    auto r = *f.record;
    r.phase = r.verified ? Phase::Serving : Phase::Promoting;
    plan.steps.push_back({WriteRecord{std::move(r)},
                          f.record->holder.value + " answers before anybody was promoted"});
    return Verdict::Decided;
}

// It ended as master, and has heard of `epoch` ...
bool ended_in(const Report& report, Epoch epoch) {
    return stopped_as_master(report) && report.epoch == epoch;
}

// ... or has led in it for certain.
bool led_in(const Report& report, Epoch epoch) {
    return ended_in(report, epoch) && !report.epoch_id.empty() &&
           report.timeline_opened_by == report.epoch_id;
}

// The one that serves in an epoch that the record knows nothing of, or, once everybody answers and
// nobody serves, that did until its mandate ran out. Never more than one: former masters may know
// the epoch as well, but only its own opened a timeline in its name.
const InstanceView* master_of(const Facts& f, Epoch epoch) {
    const auto& all = f.seen.instances;
    const bool nobody = std::none_of(all.begin(), all.end(), serves);
    if (nobody && !std::all_of(all.begin(), all.end(), [&](auto& i) { return f.fresh(i); }))
        return nullptr;
    const bool certain = std::any_of(all.begin(), all.end(), [&](const auto& i) {
        return i.report && led_in(*i.report, epoch);
    });
    const InstanceView* found = nullptr;
    for (const auto& i : all) {
        if (!i.report) continue;
        const bool was = certain ? led_in(*i.report, epoch) : ended_in(*i.report, epoch);
        if (!(nobody ? was : serves(i))) continue;
        if (found != nullptr) return nullptr;
        found = &i;
    }
    const bool right = found != nullptr && f.fresh(*found) && found->report->epoch == epoch &&
                       found->report->system_identifier == f.record->system_identifier;
    const bool newest = right && std::none_of(all.begin(), all.end(), [&](const auto& i) {
                            return i.report && i.report->timeline > found->report->timeline;
                        });
    return newest ? found : nullptr;
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
    // Nobody's position is compared where the one is named that has, or gets, all.
    if (!change_requested(f)) receivers_are_down(f, plan);
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
    if (count_as_served(f, plan)) return Verdict::Decided;
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
    for (const auto& i : f.seen.instances)
        if (i.report && i.report->epoch > f.record->epoch &&
            (knows == nullptr || i.report->epoch > knows->report->epoch))
            knows = &i;
    if (knows == nullptr) return Verdict::Pass;
    const Epoch highest = knows->report->epoch;
    std::string what = knows->name.value + " knows epoch " + std::to_string(highest.value) +
                       ", Lease " + f.seen.cluster.name + " says " +
                       std::to_string(f.record->epoch.value) +
                       ": was the Kubernetes API restored from a backup? ";
    plan.phase = "Recovering";
    const auto* master = master_of(f, highest);
    if (master != nullptr && f.seen.spec.failover.mode != FailoverMode::Paused) {
        what += master->name.value + " is master in it and goes on in the next";
        Candidate again;
        again.instance = master;
        again.former_master = true;
        auto r = succeed(f, again, ProofKind::ConfirmedFence);
        // The lost record's rule, which the one that serves knows.
        if (const auto& rule = master->report->sync; rule && rule->waits())
            r.former_sync.push_back(*rule);
        r.epoch = Epoch(highest.value + 1);
        r.timeline = master->report->timeline;
        r.timeline_opened_by = master->report->timeline_opened_by;
        plan.steps.push_back({WriteRecord{std::move(r), Bytes(0)}, what});
    } else {
        what +=
            "Nothing is changed: nobody who answers is known as its only master; fence all but the "
            "right one and wait";
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
    if (!writers_wait(f, plan, "request " + failover.request_id)) return Verdict::Decided;
    Order stop = fence(f, *f.master, true);
    stop.heir = target->name;
    give(f, plan, *f.master, std::move(stop), "request " + failover.request_id);
    return Verdict::Decided;
}

// Writes are refused where they need a new block, and PostgreSQL ends with its next WAL segment. It
// is stopped cleanly, as on request, so that nothing is lost. Without a slave that has room it
// stays.
Verdict leave_full_volume(const Facts& f, Plan& plan) {
    if (f.master_state != MasterState::Serving || !volume_is_full(f, *f.master))
        return Verdict::Pass;
    if (f.seen.spec.failover.mode != FailoverMode::Automatic) return Verdict::Pass;
    const Ranking ranking = rank(f, ProofKind::ConfirmedFence);
    if (!ranking.winner || ranking.winner->former_master ||
        !volume_has_room(*ranking.winner->instance->report))
        return Verdict::Pass;
    plan.phase = "FailingOver";
    plan.master_failed = true;
    plan.recheck = milliseconds(500);
    Order stop = fence(f, *f.master, true);
    stop.heir = ranking.winner->instance->name;
    give(f, plan, *f.master, std::move(stop), "its volume is full");
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
                     "the end of its mandate, or its agent's word, settles it, or yours: " +
                     ask_for_word(f)});
            if (!administrators_word(f).empty())
                return choose(f, plan, ProofKind::AdministratorsWord);
            return stop_granting(f, plan);
        case MasterState::Serving:
            break;
    }
    return Verdict::Decided;
}

}  // namespace matriarch::decide
