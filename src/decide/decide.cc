#include "decide/decide.h"

#include "decide/findings.h"
#include "decide/mandate.h"
#include "decide/routes.h"
#include "decide/rules.h"

namespace matriarch::decide {
namespace {

struct NamedRule {
    std::string_view name;
    Rule rule;
};

constexpr NamedRule kRules[] = {
    {"leave_deleted_clusters", leave_deleted_clusters},
    {"wait_for_knowledge", wait_for_knowledge},
    {"found_or_adopt", found_or_adopt},
    {"obey_higher_epochs", obey_higher_epochs},
    {"write_our_term", write_our_term},
    {"respect_pause", respect_pause},
    {"initialize", initialize},
    {"finish_promotion", finish_promotion},
    {"wait_for_expiry", wait_for_expiry},
    {"hand_over_on_request", hand_over_on_request},
    {"leave_full_volume", leave_full_volume},
    {"replace_master", replace_master},
    {"note_foreign_timelines", note_foreign_timelines},
    {"keep_members", keep_members},
    {"keep_synchronous", keep_synchronous},
    {"keep_mandate_time", keep_mandate_time},
    {"keep_candidates", keep_candidates},
    {"keep_followers", keep_followers},
    {"restart_where_needed", restart_where_needed},
    {"replace_outdated_pods", replace_outdated_pods},
};

}  // namespace

std::vector<std::string_view> rule_names() {
    std::vector<std::string_view> out;
    for (const auto& [name, rule] : kRules) out.push_back(name);
    return out;
}

Plan decide(const Observation& observation, const Policy& policy, TimePoint now) {
    const Facts facts(observation, policy, now);
    Plan plan;
    for (const auto& [name, rule] : kRules) {
        plan.rule = name;
        if (rule(facts, plan) == Verdict::Decided) break;
    }
    if (observation.deleting || plan.uninformed) return plan;
    if (facts.record != nullptr) plan.granting = granting(facts, plan);
    watch_slaves(facts, plan);
    compare_routes(facts, plan);
    add_findings(facts, plan);
    return plan;
}

}  // namespace matriarch::decide
