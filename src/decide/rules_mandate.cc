// Rules about the mandate: a leader's first write, and who must promise.
#include <algorithm>

#include "base/mutant.h"
#include "decide/mandate.h"
#include "decide/rules.h"

namespace matriarch::decide {
namespace {

bool follows_the_master(const Facts& f, const InstanceView& i) {
    return runs_as_slave(f, i) && i.report->receiving && i.report->upstream == f.record->holder &&
           i.report->system_identifier == f.record->system_identifier;
}

bool is_down(const Facts& f, const InstanceView& i) {
    return i.pod.empty() || f.now - i.reported_at > f.policy.down_after;
}

// Members whose pod is another, or whose instance left or is known to be down: the master need not
// ask them, and they can't become master after an expiry.
std::vector<Member> who_stays(const Facts& f) {
    std::vector<Member> out;
    for (const auto& member : f.record->candidates.members) {
        const auto* i = f.seen.find(member.instance);
        const bool stays = i != nullptr && f.member(i->name) && i->name != f.record->holder &&
                           i->pod == member.pod && !is_down(f, *i);
        if (stays) out.push_back(member);
    }
    return out;
}

}  // namespace

// Agents obey no lower term than they know, also where the record was restored with our Lease.
Verdict write_our_term(const Facts& f, Plan& plan) {
    Term known = f.record->term;
    std::string who = "Lease " + f.seen.cluster.name + " was written in";
    for (const auto& i : f.seen.instances)
        if (f.fresh(i) && i.report->term > known) {
            known = i.report->term;
            who = i.name.value + " knows";
        }
    if (known > f.seen.term) {
        plan.term_needed = known;
        plan.findings.push_back({"Ready", false, "TermBehind",
                                 who + " term " + std::to_string(known.value) +
                                     ", this operator leads in " +
                                     std::to_string(f.seen.term.value) +
                                     ": was the operator's Lease removed or restored?"});
        return Verdict::Decided;
    }
    if (f.record->term == f.seen.term) return Verdict::Pass;
    auto r = *f.record;
    r.term = f.seen.term;
    plan.steps.push_back({WriteRecord{std::move(r)}, "another operator leads"});
    return Verdict::Decided;
}

// A promotion by hand opens a timeline that the record knows nothing of. Its number is taken.
Verdict note_foreign_timelines(const Facts& f, Plan& plan) {
    const Timeline known = std::max(f.record->timeline, f.record->reserved);
    Timeline newest = known;
    for (const auto& i : f.seen.instances)
        if (i.report && i.report->system_identifier == f.record->system_identifier)
            newest = std::max(newest, i.report->timeline);
    if (newest <= known) return Verdict::Pass;
    auto r = *f.record;
    r.reserved = newest;
    plan.steps.push_back(
        {WriteRecord{std::move(r)}, "somebody opened timeline " + std::to_string(newest.value)});
    return Verdict::Decided;
}

// A longer mandate is recorded before anybody is granted it. A shorter one is granted at once, and
// counts where an expiry is waited for once none of the longer can last any more.
Verdict keep_mandate_time(const Facts& f, Plan& plan) {
    auto r = *f.record;
    const auto wanted = f.seen.spec.failover.mandate;
    if (wanted != r.ttl) {
        r.former_ttl = r.longest_ttl() > wanted ? r.longest_ttl() : std::chrono::seconds(0);
        r.ttl = wanted;
        plan.steps.push_back({WriteRecord{std::move(r)},
                              "spec.failover.mandateSeconds is " + std::to_string(wanted.count())});
        return Verdict::Decided;
    }
    const auto& lowered = f.seen.mandate.ttl_lowered;
    if (r.former_ttl.count() == 0 || !lowered || f.now < *lowered + expiry_wait(r.former_ttl))
        return Verdict::Pass;
    r.former_ttl = std::chrono::seconds(0);
    plan.steps.push_back({WriteRecord{std::move(r)}, "no longer mandate can last"});
    return Verdict::Decided;
}

Verdict keep_candidates(const Facts& f, Plan& plan) {
    const auto& set = f.record->candidates;
    auto next = *f.record;
    next.candidates.members = who_stays(f);
    auto& members = next.candidates.members;
    for (const auto* i : f.others)
        if (f.member(i->name) && follows_the_master(f, *i) &&
            next.candidates.find(i->pod) == nullptr)
            members.push_back(
                {i->name, i->pod,
                 mutant("full_without_the_masters_word") ? Membership::Full : Membership::Joining});
    if (members != set.members) {
        ++next.candidates.version;
        plan.steps.push_back({WriteRecord{std::move(next)}, "the candidate set changes"});
        return Verdict::Decided;
    }
    // The master has stored this very set: whoever is in it must be asked from now on.
    const Report& master = *f.master->report;
    const bool stored = master.epoch_id == f.record->epoch_id &&
                        master.candidates_version == set.version && set.known();
    if (!stored) return Verdict::Pass;
    bool changed = false;
    for (auto& member : members) {
        changed = changed || member.membership == Membership::Joining;
        member.membership = Membership::Full;
    }
    if (changed)
        plan.steps.push_back({WriteRecord{std::move(next)}, "the master must ask all of the set"});
    return changed ? Verdict::Decided : Verdict::Pass;
}

}  // namespace matriarch::decide
