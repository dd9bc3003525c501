#include "decide/findings.h"

#include <algorithm>

#include "decide/synchronous.h"
#include "decide/text.h"

namespace matriarch::decide {
namespace {

bool said(const Plan& plan, std::string_view type) {
    return std::any_of(plan.findings.begin(), plan.findings.end(),
                       [&](const Finding& finding) { return finding.type == type; });
}

void say(Plan& plan, Finding finding) {
    if (!said(plan, finding.type)) plan.findings.push_back(std::move(finding));
}

bool ready(const Facts& f, const InstanceView& slave) {
    return runs_as_slave(f, slave) && slave.report->receiving;
}

std::string trouble_of(const Facts& f, const InstanceView& i) {
    if (!i.pod_trouble.empty()) return i.pod_trouble;
    if (!f.fresh(i)) return "its agent does not answer";
    if (!i.report->trouble.empty()) return i.report->trouble;
    return std::string(to_string(i.report->state));
}

void about_slaves(const Facts& f, Plan& plan) {
    std::string missing;
    int count = 0;
    for (const auto* slave : f.others) {
        if (!f.member(slave->name)) continue;
        if (ready(f, *slave)) {
            ++count;
            continue;
        }
        missing += (missing.empty() ? "" : "; ") + slave->name.value + ": " + trouble_of(f, *slave);
    }
    if (missing.empty() && count < f.seen.spec.slaves) missing = "the others are not made yet";
    if (count >= f.seen.spec.slaves && missing.empty())
        say(plan, {"SlavesReady", true, "AllStreaming",
                   std::to_string(count) + " of " + std::to_string(count) + " slaves stream"});
    else
        say(plan, {"SlavesReady", false, "SlavesMissing",
                   std::to_string(count) + " of " + std::to_string(f.seen.spec.slaves) +
                       " slaves stream; " + missing});
}

void about_master(const Facts& f, Plan& plan) {
    if (f.record && f.master_state == MasterState::Serving && f.record->phase == Phase::Serving) {
        if (volume_is_full(f, *f.master))
            return say(plan, {"MasterServing", false, "VolumeFull",
                              f.record->holder.value +
                                  ": its volume is full, writes fail: raise spec.storage.size, or "
                                  "remove data; a slave whose volume has room takes over"});
        say(plan, {"MasterServing", true, "Serving", f.record->holder.value + " accepts writes"});
        return;
    }
    const std::string why = f.master ? trouble_of(f, *f.master) : "there is no master yet";
    say(plan, {"MasterServing", false, "NotServing",
               (f.record ? f.record->holder.value + ": " : std::string()) + why});
}

void about_pods(const Facts& f, Plan& plan) {
    std::string troubles;
    for (const auto& i : f.seen.instances)
        if (!i.pod_trouble.empty())
            troubles += (troubles.empty() ? "" : "; ") + i.name.value + ": " + i.pod_trouble;
    say(plan, troubles.empty() ? Finding{"PodsRunning", true, "Running", "no pod has trouble"}
                               : Finding{"PodsRunning", false, "PodTrouble", troubles});
}

void about_parameters(const Facts& f, Plan& plan) {
    std::string troubles;
    bool pending = false;
    for (const auto& i : f.seen.instances) {
        if (!i.report) continue;
        pending = pending || i.report->restart_pending;
        for (const auto& t : i.report->parameter_troubles)
            if (troubles.find(t.name) == std::string::npos)
                troubles += (troubles.empty() ? "" : "; ") + std::string("spec.postgresql.") +
                            "parameters." + t.name + ": " + t.message;
    }
    if (!troubles.empty())
        say(plan, {"ParametersApplied", false, "ParameterRefused",
                   troubles + "; the running configuration stays in force"});
    else if (pending)
        say(plan,
            {"ParametersApplied", false, "RestartPending", "a parameter waits for a restart"});
    else
        say(plan, {"ParametersApplied", true, "Applied", "all parameters are in force"});
}

std::string waits_for(const SyncRule& rule) {
    const bool any = rule.members.size() > static_cast<std::size_t>(rule.wait_for);
    return "a commit waits for " + (any ? "any " + std::to_string(rule.wait_for) + " of " : "") +
           join(rule.members);
}

// Whom commits wait for, and whether that is what the spec asks for.
void about_synchronous(const Facts& f, Plan& plan) {
    const auto& spec = f.seen.spec.replication;
    if (f.record == nullptr) return;
    const auto& rule = f.record->sync;
    const bool asked = spec.mode != ReplicationMode::Async;
    if (!asked && !rule.waits() && f.record->former_sync.empty()) return;
    const std::string wanted =
        "spec.replication.synchronousSlaves is " + std::to_string(spec.synchronous_slaves);
    if (asked && rule.wait_for < spec.synchronous_slaves)
        return say(plan, {"Synchronous", false, "Degraded",
                          (rule.waits() ? waits_for(rule) : "commits wait for nobody") + ", " +
                              wanted + ": spec.replication.onTooFewSlaves is degrade"});
    const auto there =
        std::count_if(rule.members.begin(), rule.members.end(), [&](const InstanceName& name) {
            return f.master_state != MasterState::Serving || !left_stream(f, name);
        });
    if (there < rule.wait_for)
        return say(plan, {"Synchronous", false, "TooFewSlaves",
                          "commits wait: " + std::to_string(there) + " of " + join(rule.members) +
                              " stream, " + wanted +
                              "; bring them back, lower it, or set "
                              "spec.replication.onTooFewSlaves to degrade"});
    if (!f.record->former_sync.empty())
        return say(plan, {"Synchronous", false, "Establishing",
                          (rule.waits() ? waits_for(rule) : "commits wait for nobody") +
                              ", as soon as the slaves have all former ones"});
    say(plan, {"Synchronous", true, rule.method == SyncMethod::Any ? "Quorum" : "Named",
               waits_for(rule)});
}

}  // namespace

void add_findings(const Facts& f, Plan& plan) {
    about_master(f, plan);
    about_slaves(f, plan);
    about_pods(f, plan);
    about_parameters(f, plan);
    about_synchronous(f, plan);
    say(plan, about_storage(f));
    if (auto copies = about_copies(f)) say(plan, std::move(*copies));
    const auto holds = [&](std::string_view type) {
        return std::any_of(plan.findings.begin(), plan.findings.end(),
                           [&](const Finding& x) { return x.type == type && x.holds; });
    };
    if (holds("MasterServing") && holds("SlavesReady")) {
        say(plan, {"Ready", true, "Ready", "the master serves and all slaves stream"});
        if (plan.phase.empty()) plan.phase = "Ready";
    } else {
        std::string why;
        for (const auto& x : plan.findings)
            if (!x.holds) why += (why.empty() ? "" : "; ") + x.message;
        say(plan, {"Ready", false, holds("MasterServing") ? "Degraded" : "NotServing", why});
        if (plan.phase.empty()) plan.phase = holds("MasterServing") ? "Degraded" : "NotServing";
    }
    // Last: what keeps slaves from reads has been said of them.
    if (auto reads = about_reads(f)) say(plan, std::move(*reads));
    if (auto poolers = about_poolers(f)) say(plan, std::move(*poolers));
}

}  // namespace matriarch::decide
