// The rule of phase promoting: the recorded candidate becomes master, or is given up.
#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/ranking.h"
#include "decide/rules.h"
#include "decide/succession.h"
#include "decide/synchronous.h"

namespace matriarch::decide {
namespace {

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
    // It went on, unless it never was more than a candidate, which is promoted now.
    const bool promoted = f.master->report->timeline_opened_by == f.record->epoch_id;
    if (former == f.master) return promoted ? std::nullopt : std::optional(Bytes(0));
    if (all_commits_wait(*f.record)) return {};  // what is left out was acknowledged to nobody
    if (former == nullptr || !former->report || history.empty()) return {};
    const Report& old = *former->report;
    // A candidate that was given up says nothing of what the master before it had.
    const bool known = old.fenced.value + 1 >= f.record->epoch.value && !old.standby &&
                       old.end_of_wal.known() && old.timeline == history.back().timeline;  // INV-6
    if (!known) return {};
    return distance(history.back().end, old.end_of_wal);
}

// What the candidate lacks and nobody sends, if it is more than may be lost.
std::optional<Finding> lacks_too_much(const Facts& f, bool rescue_failed) {
    const Report& report = *f.master->report;
    const auto* former = f.seen.find(f.record->former);
    if (loss_is_accepted(f, *f.master)) return {};
    const Lsn have = std::max(report.position(), report.end_of_wal);
    Bytes lacking = distance(have, must_reach(f));
    std::string limit = "spec.replication.mode allows none to be lost";
    if (lacking.value == 0 && rescue_failed && !all_commits_wait(*f.record)) {
        const auto missed = find_rescue(f, *f.master, former);
        Lsn end = missed ? missed->end : Lsn();
        if (former && former->report) end = std::max(end, former->report->end_of_wal);
        lacking = distance(have, end);
        const Bytes allowed = f.seen.spec.failover.max_lag;
        if (lacking <= allowed) return {};
        limit = "spec.failover.maxLag allows " + std::to_string(allowed.value);
    }
    if (lacking.value == 0) return {};
    const std::string why =
        rescue_failed ? report.order.message : f.record->former.value + " does not answer";
    return Finding{"FailoverPossible", false, "RescueFailed",
                   f.master->name.value + " lacks " + std::to_string(lacking.value) +
                       " bytes that can't be fetched (" + why + "), " + limit + ": bring " +
                       f.record->former.value +
                       " back, or name who leads: spec.failover.target and requestId, with "
                       "acceptDataLoss"};
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

// What the former master has and the candidate could not fetch.
bool former_has_more(const Facts& f) {
    const auto* former = former_master(f);
    return former != nullptr && former->report->end_of_wal > f.master->report->position();
}

// Its agent does not answer. Giving it up needs the same proofs over it as over a master.
Verdict wait_for_candidate(const Facts& f, Plan& plan) {
    if (!administrators_word(f).empty()) return choose(f, plan, ProofKind::AdministratorsWord);
    plan.findings.push_back({"FailoverPossible", false, "CandidateSilent",
                             "the agent of " + f.record->holder.value + ", chosen for epoch " +
                                 std::to_string(f.record->epoch.value) + ", does not answer; " +
                                 ask_for_word(f)});
    return stop_granting(f, plan);
}

bool accepts_writes(const Facts& f) {
    const Report& report = *f.master->report;
    return f.master_state == MasterState::Serving && report.writable == Known::Yes &&
           report.epoch_id == f.record->epoch_id;
}

Verdict record_verified(const Facts& f, Plan& plan) {
    auto r = *f.record;
    r.phase = Phase::Serving;
    r.timeline = f.master->report->timeline;
    r.timeline_opened_by = f.master->report->timeline_opened_by;
    r.verified = true;
    plan.steps.push_back(
        {WriteRecord{std::move(r), loss_at_switch(f)}, "verified: it accepts writes"});
    return Verdict::Decided;
}

// What the candidate is to do.
struct Task {
    Order order;
    bool unpromoted = false;     // it is a slave's data still
    bool cant_rescue = false;    // the last word about the order with a rescue
    bool rescue_failed = false;  // and so it goes on without one
    // Of a slave's data that nothing is fetched for: what it lacks and may not lose.
    std::optional<Finding> lacks;
};

Task task_of(const Facts& f) {
    const Report& report = *f.master->report;
    Task task;
    task.unpromoted = is_slaves_data(report);
    const bool promoted =
        report.order.kind == OrderKind::Promote && report.epoch == f.record->epoch;
    if (!task.unpromoted && !promoted) {
        task.order = lead(f);
        return task;
    }
    task.order = promote(f);
    const Order plain = without_rescue(task.order);
    task.cant_rescue = failed(*f.master, task.order);
    task.rescue_failed = task.cant_rescue || heard(*f.master, plain);
    if (task.rescue_failed) task.order = plain;
    if (task.unpromoted && !task.order.rescue && !heard(*f.master, task.order))
        task.lacks = lacks_too_much(f, task.rescue_failed);
    return task;
}

// The master, or, to an operator that took over since, the candidate's epoch began.
TimePoint failed_since(const Facts& f) {
    return f.seen.master_failed_since.value_or(f.seen.epoch_since.value_or(f.now));
}

bool waited(const Facts& f, Duration patience) {
    return f.seen.epoch_since && f.now - *f.seen.epoch_since >= patience;
}

bool refuses(const InstanceView& candidate, const Order& order) {
    return candidate.sent && candidate.sent->id == order.id && !candidate.sent->refusal.empty();
}

// Another order would overtake it, or come right after it and undo what it began.
bool on_its_way(const Facts& f, const InstanceView& candidate, const Order& order) {
    const auto& sent = candidate.sent;
    return sent && sent->id == order.id && sent->incarnation == order.incarnation &&
           sent->refusal.empty() && f.now - sent->at < f.policy.order_again;
}

// Giving a candidate up for this one gets somewhere: it has what the candidate can't fetch.
bool somebody_has_more(const Facts& f) {
    return std::any_of(f.others.begin(), f.others.end(), [&](const auto* other) {
        const Report& report = *f.master->report;
        return may_take_over(f, *other) && !f.excluded(other->name) && !other->pod_ending &&
               other->report->position() > std::max(report.position(), report.end_of_wal);
    });
}

// The old master's agent has WAL that the candidate lacks, and its container is about to be started
// again: that is waited for, at most rescueSeconds.
bool source_is_awaited(const Facts& f, const Task& task) {
    const auto* former = f.seen.find(f.record->former);
    const bool begun = !task.unpromoted || heard(*f.master, task.order);
    if (begun || former == nullptr || !former->report || f.fresh(*former)) return false;
    const Report& report = *former->report;
    if (task.order.rescue && task.order.rescue->end >= report.end_of_wal) return false;
    return report.pod == former->pod && !former->pod_ending && !report.standby &&
           report.timeline == f.record->timeline &&
           report.end_of_wal > f.master->report->position() &&
           f.now - failed_since(f) < f.seen.spec.failover.rescue;
}

// Why another had better lead; empty: none.
std::string why_give_up(const Facts& f, const Task& task) {
    const bool may_lose = loss_is_accepted(f, *f.master);
    if (task.cant_rescue && !may_lose && former_has_more(f))
        return "the WAL that it lacks can't be fetched";
    if (failed(*f.master, task.order)) return "its promotion failed";
    if (task.lacks && somebody_has_more(f)) return "another slave has the WAL that it lacks";
    if (!has_successor(f)) return "";
    if (refuses(*f.master, task.order) && waited(f, f.policy.refusal_patience))
        return "it refuses: " + f.master->sent->refusal;
    const bool runs = f.master->report->state == PostgresState::Running;
    return !runs && waited(f, f.policy.start_patience) ? "its PostgreSQL does not start" : "";
}

void repoint_others(const Facts& f, Plan& plan) {
    for (const auto* other : f.others)
        if (f.member(other->name) && runs_as_slave(f, *other))
            give(f, plan, *other, follow(f, *other, *f.master), "the master changes");
}

}  // namespace

Verdict finish_promotion(const Facts& f, Plan& plan) {
    if (f.record->phase != Phase::Promoting) return Verdict::Pass;
    plan.phase = "FailingOver";
    plan.recheck = milliseconds(500);
    const bool answers = f.master != nullptr && f.fresh(*f.master);
    // Also where its pod is another: the fence is on the volume.
    if (answers && f.master_state == MasterState::Fenced)
        return choose(f, plan, ProofKind::ConfirmedFence);
    if (!answers || !f.holds_record(*f.master)) return wait_for_candidate(f, plan);
    if (accepts_writes(f)) return record_verified(f, plan);
    const Order given_up = fence(f, *f.master, false);
    if (heard(*f.master, given_up) || on_its_way(f, *f.master, given_up)) return Verdict::Decided;
    const Task task = task_of(f);
    if (const auto why = why_give_up(f, task); !why.empty()) {
        give(f, plan, *f.master, given_up, why);
        return Verdict::Decided;
    }
    if (task.lacks) plan.findings.push_back(*task.lacks);
    if (task.lacks || source_is_awaited(f, task)) return Verdict::Decided;
    give(f, plan, *f.master, task.order, "chosen in the record");
    repoint_others(f, plan);
    return Verdict::Decided;
}

}  // namespace matriarch::decide
