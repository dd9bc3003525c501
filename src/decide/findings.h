// What people are told about a cluster: its conditions and its one-word phase. Pure.
#pragma once

#include <optional>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// Completes the plan's findings: every type of condition is present exactly once, the first word
// about it wins.
void add_findings(const Facts& facts, Plan& plan);

// Volumes that fill up, WAL that grows on them, and data of which one copy is left.
Finding about_storage(const Facts& facts);
std::optional<Finding> about_copies(const Facts& facts);
// Where the published routes send reads, and settings of the routing that are left out.
std::optional<Finding> about_reads(const Facts& facts);
// Of the spec's poolers; nothing where it has none.
std::optional<Finding> about_poolers(const Facts& facts);

}  // namespace matriarch::decide
