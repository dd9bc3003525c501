// The rule about synchronous replication: recorded first, then in force.
#include "decide/rules.h"
#include "decide/synchronous.h"

namespace matriarch::decide {

namespace {

// Each change that never came to count leaves a rule that a successor must fulfil too.
constexpr std::size_t kFormerRules = 4;

}  // namespace

Verdict keep_synchronous(const Facts& f, Plan& plan) {
    const SyncRule wanted = wanted_sync_rule(f);
    auto r = *f.record;
    if (!wanted.same_as(r.sync)) {
        if (r.former_sync.size() >= kFormerRules) return Verdict::Pass;
        change_sync_rule(r, wanted);
        const auto names = synchronous_standby_names(r.sync);
        plan.steps.push_back(
            {WriteRecord{std::move(r)}, "commits wait for " + (names.empty() ? "nobody" : names)});
        return Verdict::Decided;
    }
    if (r.former_sync.empty() || !sync_settled(f)) return Verdict::Pass;
    r.former_sync.clear();
    plan.steps.push_back({WriteRecord{std::move(r)}, "the slaves have all former commits"});
    return Verdict::Decided;
}

}  // namespace matriarch::decide
