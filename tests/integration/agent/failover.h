// Steps of a failover as the operator takes them, for several tests.
#pragma once

#include "fixture.h"

namespace matriarch::testing {

Proof fence_of(const Report& fenced);

enum class WithRescue { No, Yes };

// The master's postmaster is killed; Dead, fence, halt, promote of `next` in the next epoch, each
// timed. Gives the report of the confirmed fence.
Report fail_over(Lab& lab, Node& old, Node& next, WithRescue rescue = WithRescue::Yes,
                 Timeline reserved = Timeline(0));

}  // namespace matriarch::testing
