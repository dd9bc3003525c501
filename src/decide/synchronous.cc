#include "decide/synchronous.h"

#include <algorithm>

#include "base/mutant.h"
#include "decide/text.h"

namespace matriarch::decide {
namespace {

using Names = std::vector<InstanceName>;

bool contains(const Names& names, const InstanceName& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

void add(Names& names, const InstanceName& name) {
    if (!contains(names, name)) names.push_back(name);
}

// From those that are `there`, the preferred ones first. With too few the user's choice counts:
// those that are away are waited for too, or fewer are waited for.
SyncRule assemble(const Facts& f, Names there, const Names& positions) {
    const auto& spec = f.seen.spec.replication;
    SyncRule rule;
    if (spec.mode == ReplicationMode::Async) return rule;
    auto count = std::min(static_cast<std::size_t>(spec.synchronous_slaves), positions.size());
    if (there.size() < count && spec.on_too_few == TooFewSlaves::Degrade) count = there.size();
    if (there.size() < count && f.record != nullptr)
        for (const auto& name : f.record->sync.members)
            if (contains(positions, name)) add(there, name);
    for (const auto& name : positions)
        if (there.size() < count) add(there, name);
    const bool named = spec.mode == ReplicationMode::Sync;
    // Who holds all commits had better be able to lead.
    std::stable_partition(there.begin(), there.end(),
                          [&](const InstanceName& name) { return !f.excluded(name); });
    if (named) there.resize(count);
    if (count == 0) return rule;
    std::sort(there.begin(), there.end());
    rule.wait_for = static_cast<int>(count);
    rule.members = std::move(there);
    rule.method = named ? SyncMethod::First : SyncMethod::Any;
    return rule;
}

const StreamView* stream_of(const Facts& f, const InstanceName& slave) {
    if (f.master == nullptr || !f.fresh(*f.master)) return nullptr;
    return f.master->report->stream_to(slave);
}

// Fit to be waited for: it has caught up once, and its agent would answer in an election.
bool streams_well(const Facts& f, const InstanceName& slave) {
    const auto* i = f.seen.find(slave);
    return i != nullptr && f.fresh(*i) && stream_of(f, slave) != nullptr &&
           i->report->timeline == f.record->timeline && i->report->frozen < f.policy.frozen;
}

// All that the master of this epoch can have acknowledged, once its fence is confirmed.
std::optional<Lsn> end_of_epoch(const Facts& f) {
    if (!served(*f.record) || f.master_state != MasterState::Fenced) return {};
    const Report& report = *f.master->report;
    if (!report.end_of_wal.known() || report.timeline != f.record->timeline) return {};
    return report.end_of_wal;
}

// It stands still, no further than `end` (INV-6: on the record's timeline).
bool ends_by(const Facts& f, const InstanceView& member, Lsn end) {
    if (!f.fresh(member) || member.report->timeline != f.record->timeline) return false;
    const Report& report = *member.report;
    const bool running = report.state == PostgresState::Running;
    if (running && (report.receiving || report.in_recovery != Known::Yes)) return false;
    return reach(report).known() && reach(report) <= end;
}

}  // namespace

SyncRule first_sync_rule(const Facts& f, const Names& positions) {
    SyncRule rule = assemble(f, {}, positions);
    rule.version = rule.waits() ? 1 : 0;
    return rule;
}

// Who is waited for stays so as long as it streams: no change for the sake of an order.
SyncRule wanted_sync_rule(const Facts& f) {
    const auto& now = f.record->sync;
    Names there;
    for (const auto& name : f.record->positions)
        if (now.names(name) && !left_stream(f, name)) add(there, name);
    for (const auto& name : f.record->positions)
        if (streams_well(f, name)) add(there, name);
    return assemble(f, std::move(there), f.record->positions);
}

SyncRule sync_rule_after(const Facts& f, const AuthorityRecord& next) {
    Names there;
    const auto add_ready = [&](bool known) {
        for (const auto& name : next.positions) {
            const auto* i = f.seen.find(name);
            const bool ready =
                i != nullptr && runs_as_slave(f, *i) && i->report->timeline == f.record->timeline;
            if (ready && f.record->sync.names(name) == known) add(there, name);
        }
    };
    add_ready(true);
    add_ready(false);
    return assemble(f, std::move(there), next.positions);
}

void change_sync_rule(AuthorityRecord& r, SyncRule rule) {
    if (rule.same_as(r.sync)) return;
    rule.version = r.sync.version + 1;
    const bool counts = std::any_of(r.former_sync.begin(), r.former_sync.end(),
                                    [&](const SyncRule& old) { return old.same_as(r.sync); });
    if (!counts) r.former_sync.push_back(std::move(r.sync));
    r.sync = std::move(rule);
}

bool sync_settled(const Facts& f) {
    if (mutant("former_set_dropped_early")) return true;
    const Report& master = *f.master->report;
    if (master.sync.value_or(SyncRule()) != f.record->sync || !master.sync_since.known())
        return false;
    const auto& rule = f.record->sync;
    const auto past = std::count_if(rule.members.begin(), rule.members.end(), [&](const auto& m) {
        const auto* i = f.seen.find(m);
        return i != nullptr && runs_as_slave(f, *i) && i->report->timeline == master.timeline &&
               i->report->position() >= master.sync_since;
    });
    return past >= rule.wait_for;
}

bool in_sync_rule(const AuthorityRecord& r, const InstanceName& instance) {
    return r.sync.names(instance) ||
           std::any_of(r.former_sync.begin(), r.former_sync.end(),
                       [&](const SyncRule& rule) { return rule.names(instance); });
}

bool served(const AuthorityRecord& r) {
    return r.verified || (!r.epoch_id.empty() && r.timeline_opened_by == r.epoch_id);
}

bool left_stream(const Facts& f, const InstanceName& slave) {
    const auto* i = f.seen.find(slave);
    if (i == nullptr || i->pod.empty()) return true;
    if (streams_well(f, slave) || !f.seen.serving_since) return false;
    const auto last = std::max(*f.seen.serving_since, i->streamed_at.value_or(TimePoint()));
    return f.now - last > f.policy.stream_patience;
}

bool all_commits_wait(const AuthorityRecord& r) {
    return r.sync.waits() && std::all_of(r.former_sync.begin(), r.former_sync.end(),
                                         [](const SyncRule& rule) { return rule.waits(); });
}

std::string may_lack_commits(const Facts& f, const InstanceView& candidate, Lsn end) {
    if (const auto all = end_of_epoch(f); all && end >= *all) return "";
    if (mutant("quorum_not_asked")) return "";
    auto rules = f.record->former_sync;
    rules.push_back(f.record->sync);
    for (const auto& rule : rules) {
        if (!rule.waits()) continue;
        const auto seen =
            std::count_if(rule.members.begin(), rule.members.end(), [&](const auto& name) {
                const auto* member = f.seen.find(name);
                return member == &candidate || (member != nullptr && ends_by(f, *member, end));
            });
        const auto needed = static_cast<long>(rule.members.size()) - rule.wait_for + 1;
        if (seen < needed)
            return "it may lack acknowledged commits: each was confirmed by " +
                   std::to_string(rule.wait_for) + " of " + join(rule.members) + ", and only " +
                   std::to_string(seen) + " of at least " + std::to_string(needed) +
                   " of them are known to stand no further than it";
    }
    return "";
}

}  // namespace matriarch::decide
