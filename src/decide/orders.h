// Orders as decide gives them: with the header that the receiving agent checks (INV-2). Pure.
#pragma once

#include <optional>
#include <string>

#include "decide/facts.h"
#include "decide/plan.h"

namespace matriarch::decide {

// The header for `to`, which must have a report. The id names the goal: equal goals have equal ids,
// so an order that was heard already is recognised.
Order order_for(const Facts& facts, const InstanceView& to, OrderKind kind,
                const std::string& goal);

// To the record's holder, whose data is a master's.
Order lead(const Facts& facts);
Order follow(const Facts& facts, const InstanceView& slave, const InstanceView& upstream);
Order fence(const Facts& facts, const InstanceView& master, bool clean);
Order halt(const Facts& facts, const InstanceView& slave);

// True once the agent has made this order its own (working, done or failed).
bool heard(const InstanceView& instance, const Order& order);
bool done(const InstanceView& instance, const Order& order);
bool failed(const InstanceView& instance, const Order& order);

// Adds the order to the plan unless the agent has it, or it was sent a moment ago.
void give(const Facts& facts, Plan& plan, const InstanceView& to, Order order, std::string reason);

}  // namespace matriarch::decide
