#include "agent/gate.h"

#include "base/mutant.h"

namespace matriarch::agent {
namespace {

using Refusal = std::optional<std::string>;
using Rule = Refusal (*)(const Order&, const GateView&);

std::string text(std::uint64_t value) {
    return std::to_string(value);
}

Refusal right_incarnation(const Order& o, const GateView& v) {
    if (o.incarnation == v.incarnation || mutant("another_incarnations_order")) return {};
    return "meant for incarnation " + o.incarnation.value + ", this is " + v.incarnation.value;
}

Refusal in_time(const Order& o, const GateView& v) {
    if (v.now <= o.clock_reading + o.valid_for) return {};
    return "expired " +
           text(static_cast<std::uint64_t>((v.now - o.clock_reading - o.valid_for).count())) +
           " ms ago";
}

Refusal not_ending(const Order& o, const GateView& v) {
    if (!v.stopping || o.kind == OrderKind::Fence) return {};
    return "this agent is ending";
}

// A state that can't be read may hide a higher epoch or a fence: such an agent may be fenced or
// follow, but it never serves.
Refusal readable_state(const Order& o, const GateView& v) {
    if (v.state != nullptr || !makes_master(o.kind)) return {};
    return "the agent's stored state is unusable, so it must not lead; remove the file only if "
           "this instance was fenced";
}

Refusal term_not_lower(const Order& o, const GateView& v) {
    if (v.state == nullptr || o.term >= v.state->term || mutant("lower_term_obeyed")) return {};
    return "term " + text(o.term.value) + " is over, " + text(v.state->term.value) + " is known";
}

Refusal epoch_not_lower(const Order& o, const GateView& v) {
    if (v.state == nullptr || o.epoch >= v.state->epoch || mutant("lower_epoch_obeyed")) return {};
    return "epoch " + text(o.epoch.value) + " is over, " + text(v.state->epoch.value) + " is known";
}

Refusal same_epoch_same_id(const Order& o, const GateView& v) {
    if (v.state == nullptr || o.epoch != v.state->epoch || v.state->epoch_id.empty()) return {};
    if (o.epoch_id == v.state->epoch_id) return {};
    return "epoch " + text(o.epoch.value) + " has id " + v.state->epoch_id.value +
           " here, the order says " + o.epoch_id.value;
}

Refusal above_the_fence(const Order& o, const GateView& v) {
    if (v.state == nullptr || !makes_master(o.kind) || o.epoch > v.state->fenced) return {};
    if (mutant("fence_ignored")) return {};
    return "fenced at epoch " + text(v.state->fenced.value);
}

Refusal same_database(const Order& o, const GateView& v) {
    if (o.system_identifier.empty() || v.system_identifier.empty()) return {};
    if (o.system_identifier == v.system_identifier || o.kind == OrderKind::Fence) return {};
    return "the data here has system identifier " + v.system_identifier.value +
           ", the cluster's is " + o.system_identifier.value;
}

// INV-3: a data directory is made only where there is none and none was ever.
Refusal initialize_only_once(const Order& o, const GateView& v) {
    if (o.kind != OrderKind::Initialize) return {};
    if (!o.config) return "an order to initialize needs a configuration";
    if (!o.system_identifier.empty()) return "the cluster has data already";
    if (!v.data_known) return "the volume has not been looked at yet";
    const bool begun_here = v.state->initialized_for == o.epoch_id && !o.epoch_id.empty();
    if (v.data == DataFacts::Kind::None || begun_here) return {};
    return "there is a data directory already; nothing is ever made over it";
}

Refusal promotion_has_proof(const Order& o, const GateView& v) {
    if (o.kind != OrderKind::Promote) return {};
    if (!o.proof) return "a promotion needs a proof that the old master is over";
    if (o.proof->epoch >= o.epoch)
        return "the proof is about epoch " + text(o.proof->epoch.value) + ", not one before " +
               text(o.epoch.value);
    const bool first_time = v.state->epoch < o.epoch;
    if (first_time && o.proof->epoch < v.state->epoch)
        return "the proof is about epoch " + text(o.proof->epoch.value) + ", but epoch " +
               text(v.state->epoch.value) + " was here since";
    return {};
}

// The old master's mandate may rest on our promise: only once we have stopped to promise, and the
// last promise is over, has it run out for certain. Confirmed fences and an administrator's word do
// not rest on time.
Refusal expiry_keeps_promises(const Order& o, const GateView& v) {
    if (o.kind != OrderKind::Promote || !o.proof || o.proof->kind != ProofKind::Expiry) return {};
    const bool again = v.state->epoch == o.epoch;  // it was accepted before
    if (again || mutant("promise_not_kept")) return {};
    if (v.withheld < o.proof->epoch)
        return "promises are still made for epoch " + text(o.proof->epoch.value) +
               ": order Halt with withhold first";
    if (v.promised.count() > 0)
        return "a promise to the old master stands for another " +
               text(static_cast<std::uint64_t>(v.promised.count())) + " ms";
    return {};
}

Refusal promotion_has_data(const Order& o, const GateView& v) {
    if (o.kind != OrderKind::Promote || v.runs) return {};
    if (v.data_known && v.data != DataFacts::Kind::Complete) return "there is no data to promote";
    return {};
}

Refusal lead_has_masters_data(const Order& o, const GateView& v) {
    if (o.kind != OrderKind::Lead) return {};
    if (v.runs)
        return v.in_recovery == Known::Yes ? Refusal("it runs as a slave: that needs Promote")
                                           : Refusal();
    if (!v.data_known) return "the volume has not been looked at yet";
    if (v.data != DataFacts::Kind::Complete) return "there is no data to lead with";
    if (v.data_standby) return "the data is a slave's: that needs Promote";
    return {};
}

Refusal follow_is_complete(const Order& o, const GateView&) {
    if (o.kind != OrderKind::Follow) return {};
    if (!o.upstream || o.upstream->host.empty()) return "an order to follow needs an upstream";
    return {};
}

// The holder of an epoch does not become a slave within it: its commits would be in doubt.
Refusal masters_stay(const Order& o, const GateView& v) {
    const bool slavish = o.kind == OrderKind::Follow || o.kind == OrderKind::Halt;
    if (!slavish || !v.runs || v.in_recovery != Known::No) return {};
    if (v.state != nullptr && o.epoch > v.state->epoch && o.kind == OrderKind::Follow) return {};
    return "it serves as master in epoch " + text(o.epoch.value);
}

Refusal configure_has_config(const Order& o, const GateView&) {
    if (o.kind != OrderKind::Configure || o.config) return {};
    return "an order to configure needs a configuration";
}

constexpr Rule kRules[] = {right_incarnation,   in_time,
                           not_ending,          readable_state,
                           term_not_lower,      epoch_not_lower,
                           same_epoch_same_id,  above_the_fence,
                           same_database,       initialize_only_once,
                           promotion_has_proof, expiry_keeps_promises,
                           promotion_has_data,  lead_has_masters_data,
                           follow_is_complete,  masters_stay,
                           configure_has_config};

}  // namespace

bool makes_master(OrderKind kind) {
    return kind == OrderKind::Lead || kind == OrderKind::Promote || kind == OrderKind::Initialize;
}

std::optional<std::string> refusal(const Order& order, const GateView& view) {
    for (const Rule rule : kRules)
        if (auto why = rule(order, view)) return why;
    return {};
}

}  // namespace matriarch::agent
