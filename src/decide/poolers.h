// A planned change of master, as the applications behind the poolers see it: they wait for it.
//
// Writers are held back first (Routes::pause), so that no transaction is cut short, and the route
// of the new master, or the old one's without a pause, lets them go. Pure.
#pragma once

#include <string>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// Whether the change may begin: every pooler holds its writers back for `what`, a word that no
// other change has, or was asked to for long enough. Until then the plan asks for it.
bool writers_wait(const Facts& facts, Plan& plan, const std::string& what);

}  // namespace matriarch::decide
