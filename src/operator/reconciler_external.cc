// One look at a topology whose databases run elsewhere: probe, choose the master, route.
//
// Nothing is promoted, fenced or built: the provider fails over, and we follow what accepts writes.
#include <algorithm>

#include "decide/findings.h"
#include "decide/routes.h"
#include "operator/external_view.h"
#include "operator/history.h"
#include "operator/look.h"
#include "operator/observe.h"
#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

constexpr Duration kReadSecrets = seconds(10);  // changed credentials count after so long
// The first answers of all endpoints are waited for, so that none is taken for the only one.
constexpr Duration kFirstAnswers = seconds(4);
constexpr Duration kSoon = milliseconds(100);
constexpr Duration kRest = seconds(1);

bool all_asked(const ExternalTargets& targets, const EndpointProber::Results& results) {
    return std::all_of(targets.targets.begin(), targets.targets.end(), [&](const auto& target) {
        const auto found = results.find(target.name);
        return found != results.end() && found->second.asked;
    });
}

// Who was master and in which epoch, as far as is published.
void remember_master(const Cluster& cluster, ClusterMemory& memory) {
    ExternalState& state = memory.external;
    if (state.epoch.value != 0) return;
    const auto& published = memory.published;
    const auto told = static_cast<std::uint64_t>(std::max<std::int64_t>(0, cluster.status.epoch));
    state.epoch = Epoch(std::max({published ? published->epoch.value : 0, told, std::uint64_t{1}}));
    state.master.master = published && published->master ? published->master->instance
                                                         : InstanceName(cluster.status.master);
}

// With the user of the topology's Secret as the owner: that is how applications log in.
std::shared_ptr<const Cluster> with_user(const Cluster& cluster, const ExternalTargets& targets) {
    auto out = std::make_shared<Cluster>(cluster);
    if (!targets.login.user.empty()) out->spec.owner = targets.login.user;
    return out;
}

}  // namespace

Result<Duration> Reconciler::look_external(Look& look) {
    ClusterMemory& memory = look.memory;
    ExternalState& state = memory.external;
    const TimePoint now = world_.clock.now();
    if (look.cluster->deleting || world_.prober == nullptr) return kRest;

    if (state.generation != look.cluster->generation || now - state.targets_read > kReadSecrets) {
        auto targets = read_targets(world_.client, *look.cluster, world_.clock.wall());
        if (!targets) return targets.error();
        state.targets = std::move(*targets);
        state.targets_read = now;
        state.generation = look.cluster->generation;
        world_.prober->watch(look.cluster->key, state.targets.targets);
        if (state.first_asked == TimePoint{}) state.first_asked = now;
    }
    look.cluster = with_user(*look.cluster, state.targets);
    const Cluster& cluster = *look.cluster;
    const auto results = world_.prober->results(cluster.key);
    if (!all_asked(state.targets, results) && now - state.first_asked < kFirstAnswers) return kSoon;

    take_routes(cluster, look.caches, memory, now);
    remember_master(cluster, memory);
    const auto& endpoints = cluster.spec.external->endpoints;
    const InstanceName former = state.master.master;
    const std::optional<TimePoint> lost = state.master.lost;
    const auto choice = decide::choose_master(state.master, sights_of(cluster, results, now),
                                              endpoints.front().name, decide::MasterPolicy{}, now);
    state.master = choice.memory;
    if (!former.empty() && state.master.master != former) {
        state.epoch = Epoch(state.epoch.value + 1);
        ChangeOfMaster change;
        change.time = format_rfc3339(world_.clock.wall());
        change.epoch = static_cast<std::int64_t>(state.epoch.value);
        change.from = former.value;
        change.to = state.master.master.value;
        change.reason = "ProviderFailover";
        change.duration_ms = to_ms(now - lost.value_or(now));
        change.loss = loss_text({});
        change.message = change.to + " accepts writes, in place of " + change.from;
        story_.tell(cluster, kube::EventType::Normal, "MasterChanged", "Follow", change.message);
        record_change(memory.history, std::move(change));
    }

    decide::Observation& seen = look.seen;
    seen.cluster = cluster.key;
    seen.spec = cluster.spec;
    seen.complete = look.caches.synced();
    seen.record = memory.record = external_record(
        state.master,
        external_positions(*cluster.spec.external, memory.published, former, state.master.master),
        state.epoch, results);
    seen.instances = external_instances(cluster, *seen.record, results, state.targets);
    for (auto& instance : seen.instances)
        if (const auto fit = memory.fit_since.find(instance.name); fit != memory.fit_since.end())
            instance.fit_since = fit->second;
    if (cluster.spec.pooler.wanted()) seen.poolers = poolers_of(cluster, look.caches);
    seen.published = memory.published;
    seen.published_at = memory.published_at;
    seen.last_sequence = last_sequence(cluster, look.caches, memory);
    seen.master_failed_since = state.master.lost;

    const decide::Facts facts(seen, policy_, now);
    decide::Plan& plan = look.plan;
    plan.recheck = choice.wait ? std::min(*choice.wait, kRest) : kRest;
    plan.findings = external_findings(cluster, seen.instances, results, state.targets, choice);
    plan.findings.push_back(choice.one_master);
    if (const auto reads = decide::about_reads(facts)) plan.findings.push_back(*reads);
    if (const auto poolers = decide::about_poolers(facts)) plan.findings.push_back(*poolers);
    plan.findings.push_back(spec_finding(cluster, memory));
    plan.phase = cluster.spec.external->validate_only ? "Validating"
                 : choice.serves                      ? "Routing"
                                                      : "WaitingForMaster";
    decide::watch_slaves(facts, plan);
    memory.note_fit(plan.fit_for_reads, now);
    const bool routing = !cluster.spec.external->validate_only && !cluster.spec_problem;
    if (routing) {
        decide::compare_routes(facts, plan);
        auto applied = apply_all(look);
        if (!applied) return applied.error();
        if (!*applied) return kSoon;
        // The routes go first: a change of master does not wait for objects.
        if (choice.serves)
            if (auto kept = keep_objects(look, {}); !kept) return kept.error();
        if (seen.published && plan.steps.empty())
            if (auto mended =
                    routes_.mend(cluster, look.caches, *seen.published, memory.routes_mended);
                !mended && mended.error().kind != ErrorKind::Conflict)
                return mended.error();
    }
    story_.findings(cluster, memory, plan.findings);
    if (auto written = write_status(look); !written) return written.error();
    return look.again ? Duration::zero() : plan.recheck;
}

}  // namespace matriarch::op
