#include "operator/reconciler.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "operator/describe.h"
#include "operator/history.h"
#include "operator/kill_points.h"
#include "operator/look.h"
#include "operator/names.h"
#include "operator/observe.h"
#include "operator/out_of_service.h"
#include "operator/troubles.h"
#include "telemetry/log.h"

namespace matriarch::op {

namespace log = telemetry::log;

namespace {

constexpr Duration kKeepPace = seconds(30);           // between two passes over unchanged objects
constexpr Duration kObserveAgain = milliseconds(20);  // what was decided on has moved
constexpr Duration kCatchUp = milliseconds(200);      // caches that a write found behind
constexpr Duration kOrderTimeout = seconds(5);
// Without a master for so long, no publication is near that all others should make way for.
constexpr Duration kRoutesRest = seconds(5);
// Likewise the status, which people read: its write would hold up the next step of a change of
// master, by 200 ms where the API is slow.
constexpr Duration kStatusRest = seconds(2);

bool disruptive(OrderKind kind) {
    return kind == OrderKind::Fence || kind == OrderKind::Promote || kind == OrderKind::Lead ||
           kind == OrderKind::Initialize || kind == OrderKind::Restart;
}

std::set<InstanceName> planned_instances(const decide::Observation& seen,
                                         const decide::Plan& plan) {
    std::set<InstanceName> out;
    for (const auto& i : seen.instances)
        if (i.exists && !i.deleting) out.insert(i.name);
    for (const auto& step : plan.steps) {
        if (const auto* create = std::get_if<decide::CreateInstance>(&step.action))
            out.insert(create->instance);
        if (const auto* remove = std::get_if<decide::RemoveInstance>(&step.action))
            out.erase(remove->instance);
    }
    return out;
}

// A spec that can't be fulfilled changes nothing: the one before stays in force.
std::shared_ptr<const Cluster> with_valid_spec(std::shared_ptr<const Cluster> cluster,
                                               ClusterMemory& memory) {
    if (!cluster->spec_problem) {
        memory.valid_spec = cluster->spec;
        return cluster;
    }
    if (!memory.valid_spec) return cluster;
    auto out = std::make_shared<Cluster>(*cluster);
    out->spec = *memory.valid_spec;
    return out;
}

// For the history, in few words.
std::string what_failed(const decide::InstanceView* master, const decide::Policy& policy) {
    if (master == nullptr || !master->report || !master->reachable) return "its agent is silent";
    const Report& report = *master->report;
    if (report.frozen >= policy.frozen) return "its postmaster takes no connection";
    if (report.disk_stalled >= policy.disk_stalled) return "its volume takes no write";
    if (report.volume_full >= policy.volume_full) return "its volume is full";
    return "PostgreSQL is " + std::string(to_string(report.state));
}

}  // namespace

decide::Finding Reconciler::spec_finding(const Cluster& cluster, const ClusterMemory& memory) {
    const std::string type(kSpecValidCondition);
    if (!cluster.spec_problem) return {type, true, "Valid", "the spec can be fulfilled"};
    return {type, false, "SpecInvalid",
            cluster.spec_problem->message() +
                (memory.valid_spec ? "; the spec before stays in force" : "")};
}

Reconciler::Reconciler(World world, AgentImage agent, std::string cluster_domain)
    : world_(std::move(world)),
      keeper_(world_.client, world_.clock, world_.random, std::move(agent),
              std::move(cluster_domain)),
      records_(world_.client),
      routes_(world_.client),
      story_(world_.events, world_.clock) {}

// What keeps a cluster from being ready may be an object that belongs to someone else.
void Reconciler::blame_objects(Look& look) {
    const auto& condition = look.memory.objects_condition;
    if (!condition || condition->status != kube::ConditionStatus::False) return;
    for (auto& finding : look.plan.findings)
        if (finding.type == kReadyCondition && !finding.holds)
            finding.message = condition->message + "; " + finding.message;
}

Caches* Reconciler::caches_of(const ClusterKey& key) {
    for (auto& caches : world_.caches)
        if (caches->name_space().empty() || caches->name_space() == key.name_space)
            return caches.get();
    return nullptr;
}

ClusterMemory& Reconciler::memory_of(const ClusterKey& key) {
    std::lock_guard lock(mutex_);
    auto& memory = memories_[key];
    if (!memory) memory = std::make_unique<ClusterMemory>();
    return *memory;
}

void Reconciler::forget(const ClusterKey& key) {
    world_.agents.forget(key);
    world_.wire.drop_authority(key);
    world_.metrics.forget(key);
    if (world_.prober != nullptr) world_.prober->forget(key);
    std::lock_guard lock(mutex_);
    memories_.erase(key);
}

Result<Duration> Reconciler::reconcile(const ClusterKey& key) {
    Caches* caches = caches_of(key);
    if (caches == nullptr || !caches->synced()) return Duration(milliseconds(200));
    auto cluster = caches->clusters.get(key.str());
    if (!cluster) {
        forget(key);
        return Duration::max();
    }
    ClusterMemory& memory = memory_of(key);
    if (memory.cluster_uid != cluster->uid) {
        // Another cluster of the same name: nothing of the former is true of it.
        forget(key);
        memory_of(key).cluster_uid = cluster->uid;
    }
    if (!world_.leadership().valid(world_.clock.now())) return Duration(seconds(1));
    cluster = with_valid_spec(cluster, memory_of(key));
    Look one{cluster, *caches, memory_of(key), {}, {}, false};
    return look(one);
}

bool Reconciler::master_is_silent(const ClusterKey& key, const ClusterMemory& memory) const {
    if (!memory.record) return false;
    const auto known = world_.agents.knowledge(key, memory.record->holder);
    return !known || known->address.pod != memory.record->holder_pod ||
           (known->asked && !known->reachable);
}

Status Reconciler::know_agents(Look& look) {
    const auto& key = look.cluster->key;
    const auto secret = look.caches.secrets.get(key.name_space + "/" + ca_secret(key.name));
    if (!secret) return {};
    if (auto set = world_.wire.set_authority(key, secret->data); !set) return set;
    for (const auto& address : agent_addresses(*look.cluster, look.caches))
        world_.agents.watch(address);
    return {};
}

Result<Duration> Reconciler::look(Look& look) {
    const Cluster& cluster = *look.cluster;
    ClusterMemory& memory = look.memory;
    if (cluster.spec.external) return look_external(look);
    if (auto known = know_agents(look); !known) return known.error();

    const TimePoint began = world_.clock.now();
    look_for_troubles(world_.client, cluster, look.caches, memory, began);
    look_at_masters_node(world_.client, memory, master_is_silent(cluster.key, memory), began);
    // Behind what asks the API: by a moment that is older than the reports a grant would outlive
    // our leadership.
    const TimePoint now = world_.clock.now();
    look.seen = observe(cluster, look.caches, world_.agents, memory, world_.leadership(),
                        world_.random, now);
    if (cluster.spec_problem && !memory.valid_spec) {
        look.plan.phase = "Blocked";
        look.plan.findings.push_back(
            {std::string(kReadyCondition), false, "SpecInvalid", cluster.spec_problem->message()});
    } else {
        look.plan = decide::decide(look.seen, policy_, now);
    }
    look.plan.findings.push_back(spec_finding(cluster, memory));
    const decide::Plan& plan = look.plan;
    if (plan.uninformed) {
        auto applied = apply_all(look);
        if (!applied) return applied.error();
        return *applied ? plan.recheck : kObserveAgain;
    }
    memory.note_fit(plan.fit_for_reads, now);
    // Before any step: who is to be closed out must get no grant after that write.
    world_.agents.grant(cluster.key, plan.granting);
    if (plan.term_needed) world_.raise_term(*plan.term_needed);

    if (plan.master_failed && !memory.master_failed_since) {
        memory.master_failed_since = now;
        reach(kDetected);
        const auto* master = look.seen.find(look.seen.record->holder);
        story_.master_failed(cluster, memory, look.seen, what_failed(master, policy_));
    } else if (!plan.master_failed && plan.rule != "finish_promotion") {
        memory.master_failed_since.reset();
    }
    story_.resume(cluster, memory, look.seen);
    // It came back as it was: no change of master.
    const bool same =
        memory.change && look.seen.record && look.seen.record->epoch == memory.change->epoch;
    if (same && !plan.master_failed && plan.phase != "SwitchingOver") memory.change.reset();
    if (plan.phase == "SwitchingOver" && !memory.change)
        story_.master_failed(cluster, memory, look.seen,
                             "switchover, request " + cluster.spec.failover.request_id);

    // A failover does not wait for objects that were in place a moment ago.
    const bool calm = !plan.master_failed && plan.phase != "FailingOver" &&
                      plan.phase != "SwitchingOver" && !cluster.deleting && !cluster.spec_problem;
    if (calm) {
        if (auto kept = keep_objects(look, planned_instances(look.seen, plan)); !kept)
            return kept.error();
    }
    blame_objects(look);
    auto applied = apply_all(look);
    if (!applied) return applied.error();
    if (!*applied) return kObserveAgain;
    if (calm)
        if (auto labelled = label_pods(look); !labelled) return labelled.error();
    const bool routes_rest = calm || now - memory.published_at > kRoutesRest;
    if (routes_rest && look.seen.published && plan.steps.empty())
        if (auto mended =
                routes_.mend(cluster, look.caches, *look.seen.published, memory.routes_mended);
            !mended && mended.error().kind != ErrorKind::Conflict)
            return mended.error();
    story_.rejoined(cluster, memory, look.seen);
    story_.findings(cluster, memory, plan.findings);
    if (const auto& c = memory.objects_condition)
        story_.findings(
            cluster, memory,
            {{c->type, c->status == kube::ConditionStatus::True, c->reason, c->message}});
    if (!look.again || plan.steps.empty())
        if (auto written = write_status(look); !written) return written.error();
    if (look.again) return Duration::zero();
    return calm && memory.objects_behind ? std::min(plan.recheck, kCatchUp) : plan.recheck;
}

Status Reconciler::keep_objects(Look& look, const std::set<InstanceName>& instances) {
    ClusterMemory& memory = look.memory;
    std::string made_for = std::to_string(look.cluster->generation);
    for (const auto& i : instances) made_for += "," + i.value;
    const Duration age = world_.clock.now() - memory.objects_checked;
    const bool due = memory.objects_for != made_for || age > kKeepPace;
    if (!due || (memory.objects_behind && age < kCatchUp)) return {};
    auto kept = keeper_.keep(*look.cluster, look.caches, memory, instances);
    if (!kept) return kept.error();
    memory.objects_condition = kept->condition;
    memory.objects_checked = world_.clock.now();
    // What was written comes back through the caches; then the pass is made again.
    memory.objects_for = kept->wrote ? "" : made_for;
    memory.objects_behind = kept->behind;
    look.again = look.again || (kept->wrote && !kept->behind);
    return {};
}

Result<bool> Reconciler::apply_all(Look& look) {
    for (const auto& step : look.plan.steps) {
        auto applied = apply(look, step);
        if (applied) continue;
        if (applied.error().kind != ErrorKind::Conflict) return applied.error();
        log::info("observes again",
                  {{"cluster", look.cluster->key.str()}, {"why", applied.error().message()}});
        return false;
    }
    return true;
}

Status Reconciler::apply(Look& look, const decide::Step& step) {
    if (!world_.leadership().valid(world_.clock.now()))
        return make_error(ErrorKind::Conflict, "leadership ended");
    const std::string point = kill_point_of(step.action, look.memory.record, look.memory.published);
    reach_before(point);
    auto done = std::visit([&](const auto& action) { return do_step(look, action, step.reason); },
                           step.action);
    // An order is on its way only: its answer tells (SendOrder).
    if (done && !std::holds_alternative<decide::SendOrder>(step.action)) reach_after(point);
    return done;
}

Status Reconciler::do_step(Look&, const decide::CreateInstance&, const std::string&) {
    return {};  // part of the pass over all objects
}

Status Reconciler::do_step(Look& look, const decide::RemoveInstance& step,
                           const std::string& reason) {
    story_.tell(*look.cluster, kube::EventType::Normal, "InstanceRemoved", "Scale",
                step.instance.value + " is removed, its volume stays: " + reason);
    world_.agents.forget(look.cluster->key, step.instance);
    return keeper_.remove_instance(*look.cluster, look.caches, step.instance);
}

Status Reconciler::do_step(Look& look, const decide::ReplacePod& step, const std::string& reason) {
    // The StatefulSet must have the new template, or the new pod would be as the old one.
    if (look.memory.objects_for.empty() || look.again) return {};
    story_.tell(*look.cluster, kube::EventType::Normal, "PodReplaced", "Restart",
                step.instance.value + ": " + reason);
    const kube::ObjectKey pod{look.cluster->key.name_space, pod_name(step.instance)};
    auto gone = world_.client.remove(kube::kPods, pod, {.uid = step.pod.value});
    return !gone && gone.error().kind == ErrorKind::NotFound ? Status() : gone;
}

Status Reconciler::do_step(Look& look, const decide::WriteRecord& step, const std::string& reason) {
    const auto before = look.memory.record;
    auto stored = records_.write(*look.cluster, step.record);
    if (!stored) {
        look.memory.live_version = ResourceVersion();
        // What is there counts, also if its version is lower: the API was restored from a backup.
        if (const auto live = records_.read(*look.cluster); live && *live)
            look.memory.saw_record(**live, world_.clock.now());
        const auto kind = stored.error().kind;
        if (kind == ErrorKind::AlreadyExists || kind == ErrorKind::NotFound)
            return make_error(ErrorKind::Conflict, stored.error().message());
        return stored.error();
    }
    look.memory.wrote_record(*stored, world_.clock.now());
    story_.record_written(*look.cluster, look.memory, before, *stored, step.loss, reason);
    look.again = true;
    return {};
}

Status Reconciler::check_record_live(Look& look) {
    ClusterMemory& memory = look.memory;
    if (!memory.record || memory.live_version == memory.record->version) return {};
    auto live = records_.read(*look.cluster);
    if (!live) return live.error();
    if (!*live || (*live)->version != memory.record->version) {
        if (*live)
            memory.saw_record(**live, world_.clock.now());
        else
            memory.record.reset();
        return make_error(ErrorKind::Conflict, "the record moved on");
    }
    memory.live_version = memory.record->version;
    return {};
}

Status Reconciler::do_step(Look& look, const decide::SendOrder& step, const std::string& reason) {
    const Order& order = step.order;
    if (disruptive(order.kind))
        if (auto live = check_record_live(look); !live) return live;
    auto orders = look.memory.orders;
    const bool configure = order.kind == OrderKind::Configure;
    {
        std::lock_guard lock(orders->mutex);
        auto& sent = configure ? orders->configured[step.to] : orders->last[step.to];
        sent = {order.id, order.incarnation, world_.clock.now(), ""};
    }
    log::info("order", {{"cluster", look.cluster->key.str()},
                        {"to", step.to.value},
                        {"order", order.id.value},
                        {"reason", reason}});
    const auto key = look.cluster->key;
    world_.agents.order(key, step.to, order, kOrderTimeout,
                        [orders, key, to = step.to, id = order.id, configure,
                         point = kill_point_of(step, {}, {})](const Result<OrderAnswer>& answer) {
                            const std::string refusal = !answer ? answer.error().message()
                                                        : answer->accepted ? std::string()
                                                                           : answer->reason;
                            if (refusal.empty()) return reach_after(point);
                            log::warn("order not accepted", {{"cluster", key.str()},
                                                             {"to", to.value},
                                                             {"order", id.value},
                                                             {"reason", refusal}});
                            std::lock_guard lock(orders->mutex);
                            auto& sent = configure ? orders->configured[to] : orders->last[to];
                            if (sent.id == id) sent.refusal = refusal;
                        });
    return {};
}

Status Reconciler::do_step(Look& look, const decide::PublishRoutes& step,
                           const std::string& reason) {
    if (auto done = routes_.publish(*look.cluster, look.caches, step.routes); !done) return done;
    log::info("routes published",
              {{"cluster", look.cluster->key.str()},
               {"master", step.routes.master ? step.routes.master->instance.value : "none"},
               {"epoch", step.routes.epoch.value},
               {"sequence", step.routes.sequence},
               {"reason", reason}});
    look.memory.published = step.routes;
    look.memory.published_at = world_.clock.now();
    if (auto change = story_.routes_published(*look.cluster, look.memory, step.routes))
        record_change(look.memory.history, std::move(*change));
    look.again = true;
    return {};
}

Status Reconciler::label_pods(Look& look) {
    for (const auto& pod : Caches::of(look.caches.pods, look.cluster->key)) {
        const InstanceName instance(pod->label(std::string(kInstanceLabel)));
        if (instance.empty() || pod->deleting()) continue;
        const std::string role = role_of(look.seen, instance);
        if (pod->label(std::string(kRoleLabel)) == role) continue;
        const nlohmann::json patch = {
            {"metadata", {{"uid", pod->uid}, {"labels", {{std::string(kRoleLabel), role}}}}}};
        auto patched = world_.client.merge_patch(kube::kPods, pod->object_key(), "", patch);
        if (!patched && patched.error().kind != ErrorKind::NotFound &&
            patched.error().kind != ErrorKind::Conflict)
            return patched.error();
    }
    return {};
}

Status Reconciler::write_status(Look& look) {
    const Cluster& cluster = *look.cluster;
    ClusterMemory& memory = look.memory;
    auto wanted = describe(cluster, look.seen, look.plan, memory.history, world_.clock.wall());
    if (memory.objects_condition)
        kube::set_condition(wanted.conditions, *memory.objects_condition, world_.clock.wall());
    world_.metrics.show(cluster.key, wanted, look.seen.published);
    if (memory.change && world_.clock.now() - memory.change->began < kStatusRest) return {};
    // Once it is in the cache, it is kept there alone.
    if (memory.written_status == cluster.status) memory.written_status.reset();
    const ClusterStatus& shown = memory.written_status ? *memory.written_status : cluster.status;
    // As it is published; nearly always it is, and worth no closer look.
    ClusterStatus told = coarse(std::move(wanted));
    if (told == shown || !worth_writing(shown, told)) return {};
    const nlohmann::json object = {
        {"metadata", {{"name", cluster.key.name}, {"namespace", cluster.key.name_space}}},
        {"status", encode_status(told)}};
    kube::ApplyOptions options;
    options.field_manager = "matriarch-status";
    options.subresource = "status";
    auto written = world_.client.apply(kube::kPostgresClusters, object, options);
    if (!written) {
        if (written.error().kind == ErrorKind::NotFound) return {};
        return written.error();
    }
    memory.written_status = std::move(told);
    return {};
}

}  // namespace matriarch::op
