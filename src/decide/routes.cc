#include "decide/routes.h"

#include <algorithm>

#include "base/mutant.h"

namespace matriarch::decide {
namespace {

constexpr Duration kPace = seconds(1);                // between two writes for lag and weights
constexpr Duration kStaleRoute = milliseconds(1500);  // a dead master stays published no longer

// Steps so coarse that a healthy slave's lag never changes what is published.
milliseconds coarse(milliseconds lag) {
    if (lag < milliseconds(500)) return milliseconds(0);
    milliseconds step(500);
    while (step * 2 <= lag) step *= 2;
    return step;
}

Bytes coarse(Bytes lag) {
    constexpr std::uint64_t kStep = 1u << 20;
    if (lag.value < kStep) return Bytes(0);
    std::uint64_t step = kStep;
    while (step * 2 <= lag.value) step *= 2;
    return Bytes(step);
}

const SlaveRoute* published(const Facts& f, const InstanceName& name) {
    if (!f.seen.published) return nullptr;
    for (const auto& slave : f.seen.published->slaves)
        if (slave.instance == name) return &slave;
    return nullptr;
}

RouteState state_of(const Facts& f, const InstanceView& slave) {
    if (!f.fresh(slave) || slave.address.empty()) return RouteState::Down;
    const Report& report = *slave.report;
    if (report.state == PostgresState::Cloning || report.state == PostgresState::NoData)
        return RouteState::Cloning;
    if (report.state != PostgresState::Running || report.in_recovery != Known::Yes)
        return RouteState::Down;
    const auto* before = published(f, slave.name);
    const bool was_ready = before && before->state == RouteState::Ready;
    // While the master changes nobody receives; who was ready goes on serving reads.
    if (!report.receiving && !was_ready) return RouteState::Joining;
    const auto limit = f.seen.spec.routing.max_lag;
    const auto back = was_ready ? limit : limit / 2;
    return report.lag > back ? RouteState::Lagging : RouteState::Ready;
}

int weight_of(const Facts& f, int position) {
    const auto& weights = f.seen.spec.routing.weights;
    const auto found = weights.find("slave" + std::to_string(position));
    return found == weights.end() ? 100 : found->second;
}

std::optional<MasterRoute> master_route(const Facts& f) {
    const bool serves = f.record->phase == Phase::Serving &&
                        f.master_state == MasterState::Serving && !f.master->address.empty() &&
                        f.master->report->writable != Known::No;
    if (serves)
        return MasterRoute{f.master->name, f.master->pod, f.master->host, f.master->address, 5432};
    if (mutant("publish_before_verify") && f.record->phase == Phase::Promoting && f.master)
        return MasterRoute{f.master->name, f.master->pod, f.master->host, f.master->address, 5432};
    if (f.record->phase == Phase::Closing) return {};  // nobody, until an expiry is proved
    // Not now. One publication beats two (kube-proxy applies one change a second), so the old
    // answer stays for the moment that a failover takes; its address refuses connections.
    const bool brief =
        f.master_state != MasterState::Gone &&
        (!f.seen.master_failed_since || f.now - *f.seen.master_failed_since < kStaleRoute);
    const bool silent = f.master_state == MasterState::Silent;  // may well be serving (INV-7)
    if (f.seen.published && (brief || silent)) return f.seen.published->master;
    return {};
}

SlaveRoute slave_route(const Facts& f, int position, const InstanceView& slave) {
    SlaveRoute r;
    r.position = position;
    r.instance = slave.name;
    r.pod = slave.pod;
    r.host = slave.host;
    r.address = slave.address;
    r.state = state_of(f, slave);
    if (r.state == RouteState::Ready) {
        r.weight = weight_of(f, position);
        r.lag = coarse(slave.report->lag);
    }
    if (r.state == RouteState::Ready && f.master && f.fresh(*f.master) &&
        f.master->report->timeline == slave.report->timeline)  // INV-6
        r.lag_bytes = coarse(distance(slave.report->replayed, f.master->report->written));
    return r;
}

// Everything but lag: what must not wait.
bool urgent(const Routes& before, const Routes& after) {
    if (before.master != after.master || before.slaves.size() != after.slaves.size()) return true;
    return !std::equal(before.slaves.begin(), before.slaves.end(), after.slaves.begin(),
                       [](const auto& a, const auto& b) {
                           return a.instance == b.instance && a.address == b.address &&
                                  a.state == b.state;
                       });
}

}  // namespace

Routes wanted_routes(const Facts& f) {
    Routes out;
    out.epoch = f.record->epoch;
    out.timeline = f.record->timeline;
    out.master = master_route(f);
    int position = 0;
    for (const auto& name : f.record->positions) {
        ++position;
        if (const auto* slave = f.seen.find(name))
            out.slaves.push_back(slave_route(f, position, *slave));
    }
    return out;
}

void compare_routes(const Facts& f, Plan& plan) {
    if (f.record == nullptr || f.record->system_identifier.empty()) return;
    Routes wanted = wanted_routes(f);
    const auto& published = f.seen.published;
    wanted.sequence = 1;
    if (published) {
        if (published->epoch > wanted.epoch) return;  // INV-4: never back
        if (published->epoch == wanted.epoch) {
            if (published->same_content(wanted)) return;
            wanted.sequence = published->sequence + 1;
        } else if (f.record->phase != Phase::Serving && !mutant("publish_before_verify")) {
            return;  // the new epoch is published when its master is verified
        }
        // Slaves that stand still for a failover are no news.
        if (plan.master_failed && wanted.master == published->master) return;
        const Duration since = f.now - f.seen.published_at;
        if (published->epoch == wanted.epoch && !urgent(*published, wanted) && since < kPace) {
            plan.recheck = std::min(plan.recheck, kPace - since);
            return;
        }
    }
    plan.steps.push_back({PublishRoutes{std::move(wanted)}, "the routes changed"});
}

}  // namespace matriarch::decide
