// What people are told about a cluster: its conditions and its one-word phase. Pure.
#pragma once

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// Completes the plan's findings: every type of condition is present exactly once, the first word
// about it wins.
void add_findings(const Facts& facts, Plan& plan);

}  // namespace matriarch::decide
