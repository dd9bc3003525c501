// Rules from nothing to a first master: found, adopt, initialize.
#include <algorithm>

#include "decide/mandate.h"
#include "decide/orders.h"
#include "decide/rules.h"
#include "decide/synchronous.h"

namespace matriarch::decide {
namespace {

bool has_data(const InstanceView& instance) {
    return instance.report && instance.report->state != PostgresState::NoData &&
           instance.report->state != PostgresState::Cloning;
}

AuthorityRecord new_record(const Facts& f, const InstanceView& holder) {
    AuthorityRecord r;
    r.holder = holder.name;
    r.holder_pod = holder.pod;
    r.holder_node = holder.node;
    r.epoch_id = f.seen.fresh_id;
    r.ttl = f.seen.spec.failover.mandate;
    r.candidates.version = 1;  // known, and empty: nobody else can become master yet
    r.term = f.seen.term;
    const int members = f.seen.spec.slaves + 1;
    for (int n = 1; static_cast<int>(r.positions.size()) + 1 < members; ++n) {
        const auto name = instance_name(f.seen.cluster.name, n);
        if (name != holder.name) r.positions.push_back(name);
    }
    r.sync = first_sync_rule(f, r.positions);
    r.handled_request = f.seen.spec.failover.request_id;
    return r;
}

void create_missing(const Facts& f, Plan& plan) {
    for (int n = 1; n <= f.seen.spec.slaves + 1; ++n) {
        const auto name = instance_name(f.seen.cluster.name, n);
        const auto* instance = f.seen.find(name);
        if (instance == nullptr || !instance->exists)
            plan.steps.push_back({CreateInstance{name}, "the spec asks for it"});
    }
    for (const auto& i : f.seen.instances)
        if (i.kept_volume && !i.exists)
            plan.steps.push_back({CreateInstance{i.name}, "its kept volume must report"});
}

// The record is gone but a master serves: it says itself in which epoch.
bool restore_record(const Facts& f, Plan& plan) {
    const InstanceView* master = nullptr;
    for (const auto& i : f.seen.instances) {
        if (!serves(i)) continue;
        if (master != nullptr) return false;  // two: understand nothing, touch nothing
        master = &i;
    }
    if (master == nullptr) return false;
    auto r = new_record(f, *master);
    r.epoch = master->report->epoch;
    r.epoch_id = master->report->epoch_id;
    r.system_identifier = master->report->system_identifier;
    r.timeline = master->report->timeline;
    r.timeline_opened_by = master->report->timeline_opened_by;
    r.verified = true;
    // Above the set that it has stored, which it would otherwise keep.
    r.candidates.version = master->report->candidates_version + 1;
    r.sync = master->report->sync.value_or(SyncRule());
    plan.steps.push_back(
        {WriteRecord{std::move(r)}, "the record was lost; its master still serves"});
    return true;
}

// Every volume has reported and nobody serves: the newest timeline leads, then the LSN.
Verdict adopt(const Facts& f, Plan& plan) {
    const InstanceView* best = nullptr;
    Epoch highest;
    Timeline newest;
    for (const auto& i : f.seen.instances) {
        if (!i.report) continue;
        highest = std::max({highest, i.report->epoch, i.report->fenced});
        if (!has_data(i)) continue;
        if (best && i.report->system_identifier != best->report->system_identifier) {
            plan.findings.push_back(
                {"Ready", false, "ForeignData",
                 i.name.value + " and " + best->name.value +
                     " hold data of different clusters: remove the claim that does not belong "
                     "here, nothing is started until then"});
            return Verdict::Decided;
        }
        newest = std::max(newest, i.report->timeline);
        const auto key = [](const Report& r) { return std::pair(r.timeline, reach(r)); };
        if (best == nullptr || key(*i.report) > key(*best->report)) best = &i;
    }
    if (best == nullptr) {
        plan.findings.push_back({"Ready", false, "DataMissing",
                                 "status knows system identifier " + f.seen.remembered.value +
                                     " but no volume has data: restore a volume, or delete and "
                                     "create the PostgresCluster to begin anew"});
        return Verdict::Decided;
    }
    auto r = new_record(f, *best);
    r.epoch = Epoch(highest.value + 1);
    r.phase = Phase::Promoting;
    r.system_identifier = best->report->system_identifier;
    r.timeline = best->report->timeline;
    r.timeline_opened_by = best->report->timeline_opened_by;
    r.reserved = newest;
    plan.steps.push_back(
        {WriteRecord{std::move(r)}, "adopts the data of " + best->name.value + ", the newest"});
    return Verdict::Decided;
}

}  // namespace

Verdict leave_deleted_clusters(const Facts& f, Plan& plan) {
    if (!f.seen.deleting) return Verdict::Pass;
    plan.phase = "Deleting";
    return Verdict::Decided;
}

Verdict wait_for_knowledge(const Facts& f, Plan& plan) {
    if (!f.seen.record_trouble.empty()) {
        plan.phase = "Blocked";
        plan.findings.push_back({"Ready", false, "RecordUnreadable", f.seen.record_trouble});
        return Verdict::Decided;
    }
    // A new leader has heard nobody yet: that is not silence.
    const bool asked_all = std::all_of(f.seen.instances.begin(), f.seen.instances.end(),
                                       [](const auto& i) { return i.asked; });
    if (f.seen.complete && asked_all) return Verdict::Pass;
    plan.uninformed = true;
    plan.recheck = milliseconds(200);
    // An expiry counts from our term's first write at the earliest: that waits for nobody's answer.
    if (f.seen.complete && f.record != nullptr && f.record->term < f.seen.term)
        write_our_term(f, plan);
    return Verdict::Decided;
}

Verdict found_or_adopt(const Facts& f, Plan& plan) {
    if (f.record != nullptr) return Verdict::Pass;
    plan.phase = "Creating";
    plan.recheck = seconds(1);
    create_missing(f, plan);

    const auto& all = f.seen.instances;
    const bool former_life =
        !f.seen.remembered.empty() || std::any_of(all.begin(), all.end(), [](const auto& i) {
            return i.kept_volume || has_data(i);
        });
    if (!former_life) {
        const auto* first = f.seen.find(instance_name(f.seen.cluster.name, 1));
        if (first == nullptr || !f.fresh(*first)) return Verdict::Decided;
        auto r = new_record(f, *first);
        r.epoch = Epoch(1);
        plan.steps.push_back({WriteRecord{std::move(r)}, "the first master of a new cluster"});
        return Verdict::Decided;
    }
    plan.phase = "Adopting";
    if (restore_record(f, plan)) return Verdict::Decided;
    for (const auto& i : all) {
        if (f.fresh(i) && !serves(i) && i.report->state != PostgresState::Starting) continue;
        plan.findings.push_back({"Ready", false, "WaitingForVolumes",
                                 "waits for the report of " + i.name.value +
                                     ": every volume must be seen before one may lead"});
        return Verdict::Decided;
    }
    return adopt(f, plan);
}

Verdict initialize(const Facts& f, Plan& plan) {
    if (!f.record->system_identifier.empty()) return Verdict::Pass;
    plan.phase = "Creating";
    plan.recheck = seconds(1);
    if (f.master == nullptr || !f.fresh(*f.master)) {
        create_missing(f, plan);
        return Verdict::Decided;
    }
    const Report& report = *f.master->report;
    if (!f.holds_record(*f.master)) {
        // Its pod was replaced before anything was made: nothing was ever acknowledged.
        auto r = *f.record;
        r.holder_pod = f.master->pod;
        r.holder_node = f.master->node;
        if (report.state == PostgresState::NoData)
            plan.steps.push_back({WriteRecord{std::move(r)}, "the first pod was replaced"});
        return Verdict::Decided;
    }
    if (f.master_state == MasterState::Serving && report.writable == Known::Yes) {
        auto r = *f.record;
        r.system_identifier = report.system_identifier;
        r.timeline = report.timeline;
        r.timeline_opened_by = report.timeline_opened_by;
        r.verified = true;
        plan.steps.push_back({WriteRecord{std::move(r)}, "the first master is initialised"});
        return Verdict::Decided;
    }
    Order o = order_for(f, *f.master, OrderKind::Initialize, "first");
    o.config = f.master->config;
    empower(f, o);
    if (failed(*f.master, o))
        plan.findings.push_back({"Ready", false, "InitializeFailed", report.order.message});
    give(f, plan, *f.master, std::move(o), "a new cluster needs a database");
    return Verdict::Decided;
}

}  // namespace matriarch::decide
