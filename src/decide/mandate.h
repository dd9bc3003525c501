// The mandate as the operator sees it: whom to grant, when the master counts as silent, and when
// nobody can hold a mandate any more. Pure. See design: Mandate, and Proof by expiry.
#pragma once

#include <optional>
#include <string>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// Whose polls carry grants after this plan; nobody's while a mandate is to run out.
std::optional<Granting> granting(const Facts& facts, const Plan& plan);

// Adds to an order that makes a master what it needs to serve: candidate and synchronous sets, and
// a first grant.
void empower(const Facts& facts, Order& order);

// Agent, record and the slaves' streams have all been silent for long enough to have spoken.
bool all_silent(const Facts& facts);

// An administrator's word that the holder's pod is over, as a reason; empty: none. It counts only
// where nothing speaks against it.
std::string administrators_word(const Facts& facts);
// Words that ask for it.
std::string ask_for_word(const Facts& facts);

// Sets the record to `closing` if that is so: from then on the mandate can only run out.
// Always decides.
Verdict stop_granting(const Facts& facts, Plan& plan);

// From when on no process of the holder can hold a mandate; nothing if that can't be said. Only
// in phase closing.
std::optional<TimePoint> mandate_is_over(const Facts& facts);

// Why this instance may not lead after an expiry; empty if it may. The master needed the promises
// of all full members: who leads is one that makes none any more, or the master's own instance in
// another pod, beside one.
std::string why_not_after_expiry(const Facts& facts, const InstanceView& instance);

}  // namespace matriarch::decide
