#include "decide/mandate.h"

#include <algorithm>

#include "base/mutant.h"
#include "decide/ranking.h"

namespace matriarch::decide {
namespace {

using std::chrono::duration_cast;

// A master without grants renews the record itself after half of its mandate.
Duration time_to_speak(const Facts& f) {
    return milliseconds(f.record->longest_ttl()) / 2 + f.policy.listen;
}

bool somebody_knows_more(const Facts& f) {
    return std::any_of(f.seen.instances.begin(), f.seen.instances.end(), [&](const auto& i) {
        return i.report && i.report->epoch > f.record->epoch;
    });
}

// The plan ends the master's mandate.
bool ends_mandate(const Plan& plan) {
    return std::any_of(plan.steps.begin(), plan.steps.end(), [](const Step& step) {
        const auto* write = std::get_if<WriteRecord>(&step.action);
        return write != nullptr && write->record.phase != Phase::Serving;
    });
}

bool agent_is_silent(const Facts& f) {
    if (f.master != nullptr && f.holds_record(*f.master) && f.fresh(*f.master)) return false;
    auto heard = *f.seen.mandate.term_written;
    if (f.master != nullptr && f.master->report && f.master->report->pod == f.record->holder_pod)
        heard = std::max(heard, f.master->reported_at);
    return f.now - heard > time_to_speak(f);
}

bool record_is_silent(const Facts& f) {
    const auto& renewed = f.seen.mandate.renewed;
    return !renewed || f.now - *renewed > time_to_speak(f);
}

bool streams_are_silent(const Facts& f) {
    return std::none_of(f.others.begin(), f.others.end(), [&](const InstanceView* slave) {
        if (!f.fresh(*slave) || !slave->report->receiving) return false;
        if (slave->report->upstream != f.record->holder) return false;
        return slave->report->stream_age + (f.now - slave->reported_at) < f.policy.stream_silent;
    });
}

bool has_heir(const Facts& f) {
    return std::any_of(f.others.begin(), f.others.end(), [&](const InstanceView* slave) {
        const auto* member = f.record->candidates.find(slave->pod);
        return member != nullptr && member->membership == Membership::Full && f.fresh(*slave);
    });
}

}  // namespace

std::optional<Granting> granting(const Facts& f, const Plan& plan) {
    const auto& record = *f.record;
    const bool ours = record.term == f.seen.term && !record.version.empty();
    if (!ours || record.phase == Phase::Closing || ends_mandate(plan)) return {};
    if (f.master == nullptr || !f.holds_record(*f.master)) return {};
    if (!f.master->clock_trouble.empty() || somebody_knows_more(f)) return {};
    return Granting{record.holder,   record.holder_pod, record.epoch,
                    record.epoch_id, record.ttl,        record.candidates};
}

void empower(const Facts& f, Order& order) {
    order.candidates = f.record->candidates;
    order.sync = f.record->sync;
    order.ttl = f.record->longest_ttl();
    if (!granting(f, {})) return;
    const auto left = duration_cast<milliseconds>(f.seen.leadership_until - f.now);
    order.grant =
        Grant{order.epoch, order.epoch_id, order.clock_reading,
              std::clamp(left, milliseconds(0), milliseconds(f.record->ttl)), f.record->candidates};
}

bool all_silent(const Facts& f) {
    if (!f.seen.mandate.term_written) return false;
    return agent_is_silent(f) && record_is_silent(f) && streams_are_silent(f);
}

std::string administrators_word(const Facts& f) {
    if (!all_silent(f)) return "";
    if (f.seen.spec.failover.confirmed_dead == f.record->holder_pod)
        return "spec.failover.confirmDead names its pod";
    if (f.seen.node_out_of_service)
        return "its node " + f.record->holder_node + " is declared out of service";
    return "";
}

std::string ask_for_word(const Facts& f) {
    return "if the machine of pod " + f.record->holder_pod.value + " of " + f.record->holder.value +
           " is off, or the pod is gone, for certain, say so: spec.failover.confirmDead.podUid: " +
           f.record->holder_pod.value;
}

Verdict stop_granting(const Facts& f, Plan& plan) {
    const bool wanted = f.seen.spec.failover.mode == FailoverMode::Automatic || change_requested(f);
    plan.recheck = std::min<Duration>(plan.recheck, milliseconds(250));
    if (!wanted || !has_heir(f) || !all_silent(f)) return Verdict::Decided;
    auto r = *f.record;
    r.phase = Phase::Closing;
    plan.steps.push_back({WriteRecord{std::move(r)},
                          f.record->holder.value + ", its record and its streams are silent"});
    return Verdict::Decided;
}

std::optional<TimePoint> mandate_is_over(const Facts& f) {
    const auto& m = f.seen.mandate;
    if (f.record->phase != Phase::Closing || !m.term_written || !m.replaced) return {};
    auto last = std::max(*m.term_written, *m.replaced);
    if (mutant("expiry_without_renewals")) last = *m.term_written;
    if (m.granted) last = std::max(last, *m.granted);
    if (mutant("skip_expiry_wait")) return last;
    if (mutant("short_expiry")) return last + milliseconds(f.record->longest_ttl()) * 3 / 4;
    return last + expiry_wait(f.record->longest_ttl());
}

namespace {

std::string why_it_may_promise(const Facts& f, const InstanceView& instance) {
    const Report& report = *instance.report;
    if (mutant("promise_not_kept")) return "";
    if (report.withheld < f.record->epoch) return "it may still promise the old master to wait";
    // Without the time that is left: a text that changes with each look is an event with each.
    const auto left = report.promised - (f.now - instance.reported_at);
    return left > Duration::zero() ? "it promised the old master to wait for some seconds more"
                                   : "";
}

std::string why_no_full_member(const Facts& f, const InstanceView& instance) {
    const auto* member = f.record->candidates.find(instance.pod);
    const bool full = member != nullptr && member->membership == Membership::Full;
    if (!full && !mutant("anybody_after_expiry"))
        return "its pod is no full member of the candidate set, so the old master never needed its "
               "promise";
    return why_it_may_promise(f, instance);
}

}  // namespace

std::string why_not_after_expiry(const Facts& f, const InstanceView& instance) {
    if (&instance != f.master) return why_no_full_member(f, instance);
    const bool witnessed = std::any_of(f.others.begin(), f.others.end(), [&](const auto* other) {
        return f.fresh(*other) && why_no_full_member(f, *other).empty();
    });
    if (!witnessed)
        return "its pod is another, and no full member of the candidate set answers that it "
               "promises the former one nothing any more";
    // A candidate that was never promoted: its agent wants to promise nothing, as any slave's.
    return is_slaves_data(*instance.report) ? why_it_may_promise(f, instance) : "";
}

}  // namespace matriarch::decide
