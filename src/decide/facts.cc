#include "decide/facts.h"

#include <algorithm>

#include "base/mutant.h"

namespace matriarch::decide {

const InstanceView* Observation::find(const InstanceName& name) const {
    const auto found = std::find_if(instances.begin(), instances.end(),
                                    [&](const auto& i) { return i.name == name; });
    return found == instances.end() ? nullptr : &*found;
}

std::string_view to_string(MasterState state) {
    switch (state) {
        case MasterState::Serving:
            return "serving";
        case MasterState::Starting:
            return "starting";
        case MasterState::Ended:
            return "ended";
        case MasterState::Fenced:
            return "fenced";
        case MasterState::Stuck:
            return "stuck";
        case MasterState::Silent:
            return "silent";
        case MasterState::Gone:
            return "gone";
    }
    return "gone";
}

namespace {

// "Confirmed fence" of the holder, see design: the holder's own pod, or its word on disk.
bool fenced(const Report& report, const AuthorityRecord& record) {
    if (mutant("any_pod_confirms") && report.pod != record.holder_pod &&
        report.state == PostgresState::Stopped)
        return true;
    if (report.fenced < record.epoch) return false;
    return (report.pod == record.holder_pod && report.fence_confirmed) ||
           report.fenced_by == record.holder_pod;
}

bool restarting(const Report& report) {
    return report.order.kind == OrderKind::Restart && report.order.state == OrderState::Working;
}

MasterState judge(const Facts& f) {
    const auto& record = *f.record;
    const InstanceView* master = f.master;
    if (master == nullptr) return MasterState::Gone;
    if (master->report && fenced(*master->report, record)) return MasterState::Fenced;
    if (!f.holds_record(*master)) return MasterState::Gone;
    if (!f.fresh(*master)) return MasterState::Silent;
    const Report& report = *master->report;
    if (report.frozen >= f.policy.frozen || report.disk_stalled >= f.policy.disk_stalled)
        return MasterState::Stuck;
    if (report.state == PostgresState::Running && report.epoch == record.epoch &&
        report.in_recovery == Known::No)
        return MasterState::Serving;
    if (report.state == PostgresState::Starting || report.state == PostgresState::Cloning ||
        restarting(report))
        return MasterState::Starting;
    if (report.state == PostgresState::Running && !master->pod_ending)
        return MasterState::Starting;  // recovery, or an epoch that it has not stored yet
    return MasterState::Ended;
}

}  // namespace

Facts::Facts(const Observation& observation, const Policy& policy_, TimePoint now_)
    : seen(observation), policy(policy_), now(now_) {
    if (seen.record) record = &*seen.record;
    for (const auto& instance : seen.instances) {
        if (record != nullptr && instance.name == record->holder)
            master = &instance;
        else
            others.push_back(&instance);
    }
    const auto rank = [&](const InstanceView* i) {
        const int position = position_of(i->name);
        return position == 0 ? 1000 : position;
    };
    std::stable_sort(others.begin(), others.end(),
                     [&](auto* a, auto* b) { return rank(a) < rank(b); });
    if (record != nullptr) master_state = judge(*this);
}

bool Facts::fresh(const InstanceView& instance) const {
    return instance.report && instance.reachable && instance.report->pod == instance.pod &&
           now - instance.reported_at <= policy.report_fresh;
}

int Facts::position_of(const InstanceName& instance) const {
    if (record == nullptr) return 0;
    const auto& all = record->positions;
    const auto found = std::find(all.begin(), all.end(), instance);
    return found == all.end() ? 0 : static_cast<int>(found - all.begin()) + 1;
}

bool Facts::member(const InstanceName& instance) const {
    return record != nullptr && (instance == record->holder || position_of(instance) > 0);
}

bool Facts::excluded(const InstanceName& instance) const {
    const auto& names = seen.spec.failover.exclude;
    return std::find(names.begin(), names.end(), instance.value) != names.end();
}

bool serves(const InstanceView& i) {
    return i.report && i.report->state == PostgresState::Running &&
           i.report->in_recovery == Known::No;
}

bool runs_as_slave(const Facts& f, const InstanceView& i) {
    return f.fresh(i) && i.report->state == PostgresState::Running &&
           i.report->in_recovery == Known::Yes;
}

bool stopped_as_master(const Report& r) {
    const bool stopped = r.state == PostgresState::Stopped || r.state == PostgresState::Dead;
    return stopped && !r.standby && r.end_of_wal.known();
}

bool is_slaves_data(const Report& r) {
    return r.standby || r.in_recovery == Known::Yes;
}

bool has_whole_data(const Report& r) {
    return r.state != PostgresState::NoData && r.state != PostgresState::Cloning &&
           r.state != PostgresState::Broken;
}

bool volume_is_full(const Facts& f, const InstanceView& i) {
    return i.report && i.report->volume_full >= f.policy.volume_full;
}

bool volume_has_room(const Report& report) {
    constexpr std::uint64_t kPart = 20, kPlenty = 1u << 30;
    const auto free = report.volume_free.value;
    const bool measured = report.volume_size.value > 0;
    return measured && report.volume_full.count() == 0 &&
           (free >= kPlenty || free >= report.volume_size.value / kPart);
}

Lsn reach(const Report& r) {
    return r.state == PostgresState::Running ? r.position() : r.end_of_wal;
}

bool Facts::holds_record(const InstanceView& instance) const {
    return record != nullptr && instance.name == record->holder &&
           instance.pod == record->holder_pod;
}

}  // namespace matriarch::decide
