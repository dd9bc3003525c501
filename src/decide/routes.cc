#include "decide/routes.h"

#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"

namespace matriarch::decide {
namespace {

constexpr Duration kPace = seconds(1);        // between two writes but for a new master
constexpr Duration kStaleRoute = seconds(3);  // a dead master stays published no longer
// kube-proxy begins no change within a second after it applied another. An answer that would be
// replaced so soon is not given: it would hold up the one that ends the outage.
constexpr Duration kProxyPause = milliseconds(1200);
// A failover that takes longer no longer excuses old answers about slaves.
constexpr Duration kLongFailover = seconds(10);
// Steps so coarse that a healthy slave's lag never changes what is published.
constexpr milliseconds kLagStep(500);
constexpr std::uint64_t kLagStepBytes = 1u << 20;
// Replay that waits so long is worth sending reads elsewhere; most conflicts are over sooner.
constexpr milliseconds kLongConflict(500);

// 0, or `smallest` times a power of two. What is published stays until lag is a quarter below it:
// lag that hovers about a step writes nothing.
std::uint64_t coarse(std::uint64_t lag, std::uint64_t smallest, std::uint64_t published) {
    std::uint64_t step = lag < smallest ? 0 : smallest;
    while (step != 0 && step * 2 <= lag) step *= 2;
    return step < published && lag >= published - published / 4 ? published : step;
}

milliseconds coarse(milliseconds lag, const SlaveRoute* before) {
    const auto number = [](milliseconds m) { return static_cast<std::uint64_t>(m.count()); };
    const auto published = before ? before->lag.value_or(milliseconds(0)) : milliseconds(0);
    return milliseconds(
        static_cast<std::int64_t>(coarse(number(lag), number(kLagStep), number(published))));
}

Bytes coarse(Bytes lag, const SlaveRoute* before) {
    const auto published = before ? before->lag_bytes.value_or(Bytes()) : Bytes();
    return Bytes(coarse(lag.value, kLagStepBytes, published.value));
}

// What is published of this very pod.
const SlaveRoute* published(const Facts& f, const InstanceView& slave) {
    if (!f.seen.published) return nullptr;
    for (const auto& route : f.seen.published->slaves)
        if (route.instance == slave.name && route.pod == slave.pod) return &route;
    return nullptr;
}

bool was_ready(const Facts& f, const InstanceView& slave) {
    const auto* before = published(f, slave);
    return before && before->state == RouteState::Ready;
}

std::optional<MasterRoute> master_route(const Facts& f) {
    const bool serves = f.record->phase == Phase::Serving &&
                        f.master_state == MasterState::Serving && !f.master->address.empty() &&
                        f.master->report->writable != Known::No;
    if (serves)
        return MasterRoute{f.master->name, f.master->pod, f.master->host, f.master->address,
                           f.master->port};
    if (mutant("publish_before_verify") && f.record->phase == Phase::Promoting && f.master)
        return MasterRoute{f.master->name, f.master->pod, f.master->host, f.master->address,
                           f.master->port};
    if (f.record->phase == Phase::Closing) {  // nobody, until an expiry is proved
        const auto over = mandate_is_over(f);
        const bool soon = over && *over - f.now < kProxyPause && f.now - *over < kProxyPause;
        return soon && f.seen.published ? f.seen.published->master : std::nullopt;
    }
    // Not now. One publication beats two (kube-proxy applies one change a second), so the old
    // answer stays for the moment that a failover takes; its address refuses connections.
    const bool brief =
        f.master_state != MasterState::Gone &&
        (!f.seen.master_failed_since || f.now - *f.seen.master_failed_since < kStaleRoute);
    const bool silent = f.master_state == MasterState::Silent;  // may well be serving (INV-7)
    if (f.seen.published && (brief || silent)) return f.seen.published->master;
    return {};
}

// How the slave is now, whatever it was a moment ago.
RouteState fitness(const Facts& f, const InstanceView& slave) {
    if (!f.fresh(slave) || slave.address.empty()) return RouteState::Down;
    const Report& report = *slave.report;
    if (report.state == PostgresState::Cloning || report.state == PostgresState::NoData)
        return RouteState::Cloning;
    if (report.state != PostgresState::Running || report.in_recovery != Known::Yes)
        return RouteState::Down;
    if (!report.receiving && !was_ready(f, slave)) return RouteState::Joining;
    if (report.conflict >= kLongConflict) return RouteState::Conflict;
    // While there is no master nobody receives, nor is anything written that could be missed: who
    // was ready goes on serving reads, however long that takes.
    if (!report.receiving && !master_route(f)) return RouteState::Ready;
    const auto limit = f.seen.spec.routing.max_lag;
    return report.lag > (was_ready(f, slave) ? limit : limit / 2) ? RouteState::Lagging
                                                                  : RouteState::Ready;
}

// How long until a slave that is fit gets reads; nothing for one that has them, or is the first
// answer of a cluster.
Duration hold_left(const Facts& f, const InstanceView& slave) {
    if (!f.seen.published || was_ready(f, slave)) return {};
    const Duration fit = slave.fit_since ? f.now - *slave.fit_since : Duration::zero();
    return std::max(Duration::zero(), f.seen.spec.routing.hold - fit);
}

RouteState state_of(const Facts& f, const InstanceView& slave) {
    const RouteState now = fitness(f, slave);
    const bool held = now == RouteState::Ready && hold_left(f, slave) > Duration::zero();
    return held ? RouteState::Joining : now;
}

// A slave that is close to the limit gets fewer reads, so that it catches up rather than leaves.
int weight_of(const RoutingSpec& routing, const SlaveRoute& slave) {
    if (slave.state != RouteState::Ready) return 0;
    const int weight = routing.weight_of(slave.position);
    const auto lag = slave.lag.value_or(milliseconds(0));
    const int part = lag > routing.max_lag / 2 ? 4 : lag > routing.max_lag / 4 ? 2 : 1;
    return weight == 0 ? 0 : std::max(1, weight / part);
}

SlaveRoute slave_route(const Facts& f, int position, const InstanceView& slave) {
    SlaveRoute r;
    r.position = position;
    r.instance = slave.name;
    r.pod = slave.pod;
    r.host = slave.host;
    r.address = slave.address;
    r.port = slave.port;
    r.state = state_of(f, slave);
    if (r.state != RouteState::Down && r.state != RouteState::Cloning) {
        const auto* before = published(f, slave);
        r.lag = coarse(slave.report->lag, before);
        const bool same_timeline =
            f.master && f.fresh(*f.master) && f.master->report->timeline == slave.report->timeline;
        if (same_timeline)  // INV-6
            r.lag_bytes =
                coarse(distance(slave.report->replayed, f.master->report->written), before);
    }
    r.weight = weight_of(f.seen.spec.routing, r);
    return r;
}

}  // namespace

Routes wanted_routes(const Facts& f, const Plan& plan) {
    Routes out;
    out.epoch = f.record->epoch;
    out.timeline = f.record->timeline;
    out.master = master_route(f);
    const auto& routing = f.seen.spec.routing;
    out.pause = plan.pause;
    out.reads = {routing.strategy, routing.max_lag, routing.fallback_to_master,
                 routing.master_weight()};
    int position = 0;
    for (const auto& name : f.record->positions) {
        ++position;
        if (const auto* slave = f.seen.find(name))
            out.slaves.push_back(slave_route(f, position, *slave));
    }
    return out;
}

void watch_slaves(const Facts& f, Plan& plan) {
    for (const auto* slave : f.others) {
        if (f.position_of(slave->name) == 0) continue;
        if (fitness(f, *slave) != RouteState::Ready) continue;
        plan.fit_for_reads.push_back(slave->name);
        if (const auto left = hold_left(f, *slave); left > Duration::zero())
            plan.recheck = std::min(plan.recheck, left);
    }
}

void compare_routes(const Facts& f, Plan& plan) {
    if (f.record == nullptr || f.record->system_identifier.empty()) return;
    Routes wanted = wanted_routes(f, plan);
    const auto& published = f.seen.published;
    wanted.sequence = f.seen.last_sequence + 1;  // INV-4, also if the ConfigMap was deleted
    if (published) {
        if (published->epoch > wanted.epoch) return;  // INV-4: never back
        if (published->epoch == wanted.epoch) {
            if (published->same_content(wanted)) return;
            wanted.sequence = published->sequence + 1;
        } else if (f.record->phase != Phase::Serving && !mutant("publish_before_verify")) {
            return;  // the new epoch is published when its master is verified
        }
        // Slaves that stand still for a failover are no news.
        const auto& failed = f.seen.master_failed_since;
        const bool brief = !failed || f.now - *failed < kLongFailover;
        if (plan.master_failed && brief && wanted.master == published->master) return;
        const Duration since = f.now - f.seen.published_at;
        const bool urgent = published->epoch != wanted.epoch ||
                            published->master != wanted.master || published->pause != wanted.pause;
        if (!urgent && since < kPace) {
            plan.recheck = std::min(plan.recheck, kPace - since);
            return;
        }
    }
    plan.steps.push_back({PublishRoutes{std::move(wanted)}, "the routes changed"});
}

}  // namespace matriarch::decide
