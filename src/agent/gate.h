// The gate: whether an order may be obeyed at all (INV-2). A chain of small pure rules.
//
// Asked before anything is stored or done. Each rule names what it refuses and why, for the
// operator's status and the log. A clock reading is the agent's own, so no two clocks are compared.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "agent/instance.h"
#include "agent/state.h"

namespace matriarch::agent {

// What the gate compares an order with.
struct GateView {
    Incarnation incarnation;
    std::chrono::milliseconds now{0};  // the agent's clock
    const State* state = nullptr;      // null: the stored state is unusable
    DataFacts::Kind data = DataFacts::Kind::None;
    bool data_known = false;  // was looked at
    bool data_standby = false;
    SystemIdentifier system_identifier;     // of the data; empty if none
    bool runs = false;                      // a postmaster is on
    Known in_recovery = Known::Unknown;     // of the running server
    bool stopping = false;                  // the agent was told to end
    Epoch withheld;                         // no promise is made for epochs up to this one
    std::chrono::milliseconds promised{0};  // for so long a promise stands
};

bool makes_master(OrderKind kind);

// Nothing: the order may be obeyed. Otherwise why it is refused.
std::optional<std::string> refusal(const Order& order, const GateView& view);

}  // namespace matriarch::agent
