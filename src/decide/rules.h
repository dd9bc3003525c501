// The rules of the game, in the order in which decide asks them. Pure.
//
// Each looks at the facts, adds steps and findings to the plan, and answers whether it decided:
// then no later rule is asked. Read them from top to bottom.
#pragma once

#include <string_view>
#include <vector>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

using Rule = Verdict (*)(const Facts& facts, Plan& plan);

// Their names in this order, as Plan::rule says them.
std::vector<std::string_view> rule_names();

// rules_start.cc: from nothing to a first master.
Verdict leave_deleted_clusters(const Facts&, Plan&);
Verdict wait_for_knowledge(const Facts&, Plan&);
Verdict found_or_adopt(const Facts&, Plan&);  // no record yet
Verdict initialize(const Facts&, Plan&);      // a record without data

// rules_mandate.cc: who may prolong the master's mandate, and when it is over.
Verdict write_our_term(const Facts&, Plan&);          // a new leader's first write
Verdict note_foreign_timelines(const Facts&, Plan&);  // no number is opened twice
Verdict keep_mandate_time(const Facts&, Plan&);       // as the spec says
Verdict keep_candidates(const Facts&, Plan&);         // the candidate set

// rules_failover.cc: from one master to the next.
Verdict obey_higher_epochs(const Facts&, Plan&);  // somebody knows more than the record
Verdict respect_pause(const Facts&, Plan&);
Verdict wait_for_expiry(const Facts&, Plan&);  // phase closing
Verdict hand_over_on_request(const Facts&, Plan&);
Verdict leave_full_volume(const Facts&, Plan&);  // the master's, while a slave's has room
Verdict replace_master(const Facts&, Plan&);     // the master can't serve

// rules_promotion.cc: the recorded candidate becomes master, or is given up.
Verdict finish_promotion(const Facts&, Plan&);  // phase promoting

// rules_sync.cc: whom commits wait for.
Verdict keep_synchronous(const Facts&, Plan&);

// rules_steady.cc: a serving master, and slaves that follow it.
Verdict keep_members(const Facts&, Plan&);    // as many as the spec says
Verdict keep_followers(const Facts&, Plan&);  // configured, following
Verdict restart_where_needed(const Facts&, Plan&);
Verdict replace_outdated_pods(const Facts&, Plan&);

}  // namespace matriarch::decide
