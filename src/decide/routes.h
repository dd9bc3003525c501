// What the routes should say, from the facts. Pure; see design: Routing.
#pragma once

#include <optional>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// The answer as it should be, without regard to what is published; the stamp follows from that.
Routes wanted_routes(const Facts& facts, const Plan& plan);

// Adds PublishRoutes if the published answer differs and the pace allows it: a change of master at
// once, everything else at most once a second.
void compare_routes(const Facts& facts, Plan& plan);

// Says which slaves are fit for reads, and when the hold of one of them ends.
void watch_slaves(const Facts& facts, Plan& plan);

}  // namespace matriarch::decide
