// Rules for a serving master: members, configuration, followers, restarts.
#include <algorithm>

#include "decide/orders.h"
#include "decide/poolers.h"
#include "decide/rules.h"
#include "decide/synchronous.h"

namespace matriarch::decide {
namespace {

constexpr Duration kRefusedAgain = std::chrono::minutes(1);

bool has_slot(const Report& master, const InstanceName& slave) {
    return std::any_of(master.slots.begin(), master.slots.end(),
                       [&](const auto& s) { return s.name == slot_name(slave); });
}

bool streams(const Facts& f, const InstanceView& slave) {
    return f.fresh(slave) && slave.report->state == PostgresState::Running &&
           slave.report->receiving;
}

// A mandate that was made shorter: the master first, slaves once no longer one can last.
milliseconds ttl_for(const Facts& f, const InstanceView& instance) {
    return &instance == f.master ? f.record->ttl : f.record->longest_ttl();
}

// The master keeps the recorded rule itself. A slave need only know whether there is one: it loads
// the exact one before its promotion.
bool knows_record(const Facts& f, const InstanceView& instance) {
    const auto& wanted = f.record->sync;
    const SyncRule known = instance.report->sync.value_or(SyncRule());
    const bool rule = &instance == f.master ? known == wanted : known.waits() == wanted.waits();
    return rule && instance.report->ttl <= ttl_for(f, instance);
}

void configure(const Facts& f, Plan& plan, const InstanceView& instance) {
    if (!f.fresh(instance)) return;
    const std::string hash = instance.config.hash();
    const auto ttl = ttl_for(f, instance);
    const std::string goal =
        hash + "/" + std::to_string(f.record->sync.version) + "/" + std::to_string(ttl.count());
    const bool known = knows_record(f, instance);
    // With troubles the agent still has a refused configuration in mind: a wish that was taken back
    // must reach it, one that still stands need not be repeated.
    const bool refused = !instance.report->parameter_troubles.empty();
    if (instance.report->config_hash == hash && known && !refused) return;
    const auto& last = instance.configured;
    if (refused && known && last && last->incarnation == instance.report->incarnation &&
        last->id.value.ends_with("/" + goal) && f.now - last->at < kRefusedAgain)
        return;
    Order o = order_for(f, instance, OrderKind::Configure, goal);
    o.config = instance.config;
    o.sync = f.record->sync;
    o.ttl = ttl;
    give(f, plan, instance, std::move(o),
         known ? "its configuration differs" : "the record says more than it knows");
}

// Planned interruptions go one at a time, slaves first and the master last, and only while all
// others stream (INV-10). PostgreSQL wants slaves with limits at least as high as the master's.
template <class Needs>
const InstanceView* next_in_turn(const Facts& f, Needs needs) {
    const InstanceView* next = nullptr;
    for (const auto* slave : f.others) {
        if (!f.member(slave->name)) continue;
        if (next == nullptr && needs(*slave))
            next = slave;
        else if (!streams(f, *slave))
            return nullptr;
    }
    if (next == nullptr && needs(*f.master)) next = f.master;
    return next;
}

InstanceName free_name(const Facts& f) {
    for (int n = 1;; ++n) {
        const auto name = instance_name(f.seen.cluster.name, n);
        if (!f.member(name)) return name;
    }
}

}  // namespace

Verdict keep_members(const Facts& f, Plan& plan) {
    for (const auto& name : f.record->positions) {
        const auto* instance = f.seen.find(name);
        if (instance == nullptr || !instance->exists)
            plan.steps.push_back({CreateInstance{name}, "a member without a StatefulSet"});
    }
    if (f.master == nullptr || !f.master->exists)
        plan.steps.push_back({CreateInstance{f.record->holder}, "the master's StatefulSet"});

    const auto wanted = static_cast<std::size_t>(f.seen.spec.slaves);
    auto r = *f.record;
    if (r.positions.size() != wanted) {
        if (r.positions.size() < wanted)
            r.positions.push_back(free_name(f));
        else
            r.positions.pop_back();
        plan.steps.push_back(
            {WriteRecord{std::move(r)}, "spec.slaves is " + std::to_string(wanted)});
        plan.phase = "Scaling";
        return Verdict::Decided;
    }
    for (const auto* other : f.others)
        if (!f.member(other->name) && other->exists && !other->deleting &&
            !in_sync_rule(*f.record, other->name))
            plan.steps.push_back({RemoveInstance{other->name}, "no longer a member"});
    return Verdict::Pass;
}

Verdict keep_followers(const Facts& f, Plan& plan) {
    configure(f, plan, *f.master);
    for (const auto* slave : f.others) {
        if (!f.member(slave->name) || !f.fresh(*slave)) continue;
        configure(f, plan, *slave);
        const Order order = follow(f, *slave, *f.master);
        if (!has_slot(*f.master->report, slave->name)) {
            plan.recheck = std::min<Duration>(plan.recheck, seconds(1));
            continue;
        }
        if (failed(*slave, order))
            plan.findings.push_back({"SlavesReady", false, "FollowFailed",
                                     slave->name.value + ": " + slave->report->order.message});
        give(f, plan, *slave, order, "follows the master");
    }
    return Verdict::Pass;
}

Verdict restart_where_needed(const Facts& f, Plan& plan) {
    const auto* next = next_in_turn(
        f, [&](const InstanceView& i) { return f.fresh(i) && i.report->restart_pending; });
    if (next == nullptr) return Verdict::Pass;
    const auto& what = next->report->config_hash;
    if (next == f.master && !writers_wait(f, plan, "restart " + what)) return Verdict::Pass;
    Order o = order_for(f, *next, OrderKind::Restart, what);
    give(f, plan, *next, std::move(o), "a parameter waits for a restart");
    return Verdict::Pass;
}

// A master's pod that is deleted hands over within its grace period, so it needs no rule of its
// own.
Verdict replace_outdated_pods(const Facts& f, Plan& plan) {
    const auto* next =
        next_in_turn(f, [](const InstanceView& i) { return i.pod_outdated && !i.pod_ending; });
    if (next == nullptr) return Verdict::Pass;
    if (next == f.master && !writers_wait(f, plan, "pod " + next->pod.value)) return Verdict::Pass;
    plan.steps.push_back({ReplacePod{next->name, next->pod}, "its pod is of an older template"});
    return Verdict::Pass;
}

}  // namespace matriarch::decide
