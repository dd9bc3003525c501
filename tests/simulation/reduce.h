// reduce: a broken seed with as few faults as still break the same rule.
#pragma once

#include "simulation.h"

namespace matriarch::sim {

// Leaves out faults, many at once and then one by one, as long as `rule` is broken still, for at
// most `patience` of the machine's time. Runs in this process.
Options reduce(Options options, const std::string& rule, Duration patience);

}  // namespace matriarch::sim
