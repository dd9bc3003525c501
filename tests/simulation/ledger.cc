#include "ledger.h"

#include <algorithm>

#include "agent/gate.h"

namespace matriarch::sim {
namespace {

std::string ms(Duration d) {
    return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
}

bool is_goal(OrderKind kind) {
    return kind != OrderKind::Configure && kind != OrderKind::Checkpoint &&
           kind != OrderKind::Restart;
}

}  // namespace

Ledger::Ledger(const Place& place, Contracts& contracts) : place_(place), contracts_(contracts) {}

TimePoint Ledger::now() const {
    return place_.net.host(place_.host).clock->now();
}

// As its own folder or the volume has it.
const agent::State& Ledger::state() const {
    static const agent::State kNothing;
    const auto& volume = place_.volume;
    if (volume.beside && volume.beside->first == place_.pod) return volume.beside->second;
    return volume.state ? *volume.state : kNothing;
}

void Ledger::violate(const char* rule, const std::string& what) const {
    place_.world.violate(rule, place_.name.value + " (" + place_.pod.value + ") " + what);
}

// --- the disk ---------------------------------------------------------------------------------

// "A freshly started agent waits as long before it accepts a promotion."
void Ledger::begins(const agent::State& stored, const Incarnation& incarnation) {
    incarnation_ = incarnation;
    if (stored.ttl.count() > 0) contracts_.promised(place_.pod, now() + expiry_wait(stored.ttl));
    if (stored.goal && stored.goal->kind == OrderKind::Halt && stored.goal->withhold)
        withheld_ = stored.goal->epoch;
}

void Ledger::saves(const agent::State& before, const agent::State& next, bool processes_left) {
    const auto falls = [&](const char* what, std::uint64_t was, std::uint64_t is) {
        if (is < was)
            violate("disk", std::string("forgets ") + what + " " + std::to_string(was) +
                                ", and stores " + std::to_string(is));
    };
    falls("term", before.term.value, next.term.value);
    falls("epoch", before.epoch.value, next.epoch.value);
    falls("the fence at", before.fenced.value, next.fenced.value);
    if (next.epoch == before.epoch) {
        falls("candidate set", before.candidates.version, next.candidates.version);
        falls("rule", before.sync.version, next.sync.version);
        if (next.epoch_id != before.epoch_id && !before.epoch_id.empty())
            violate("disk", "stores another id of epoch " + std::to_string(next.epoch.value));
    }
    if (next.fenced > before.fenced && processes_left)
        violate("fence", "stores a fence, and PostgreSQL runs");
}

// --- the mandate ------------------------------------------------------------------------------

bool Ledger::alone() const {
    const auto& s = state();
    return s.candidates.known() && s.candidates.members.empty() && s.epoch > s.fenced;
}

TimePoint Ledger::entitled() const {
    const auto& s = state();
    const auto found = rights_.find({s.epoch, s.epoch_id});
    return found == rights_.end() || found->second.rejected ? TimePoint() : found->second.until;
}

Duration Ledger::right_left() const {
    return std::max(Duration::zero(), entitled() - now());
}

void Ledger::prolong(Right& right, TimePoint until) {
    right.until = std::max(right.until, until);
}

void Ledger::granted(const Grant& grant) {
    const TimePoint reading{grant.reading};
    Right& right = rights_[{grant.epoch, grant.epoch_id}];
    right.granted = true;
    if (right.closed && reading >= *right.closed) right.closed.reset();
    prolong(right, reading + grant.ttl);
}

void Ledger::hears(const Poll& poll) {
    if (poll.grant && poll.incarnation == incarnation_) granted(*poll.grant);
}

void Ledger::hears(const Order& order) {
    if (order.grant && order.incarnation == incarnation_) granted(*order.grant);
}

void Ledger::hears(const agent::RecordAnswered& event) {
    Right& right = rights_[{event.claim.epoch, event.claim.epoch_id}];
    if (event.word == agent::RecordWord::Ends) right.closed = now();
    if (event.word == agent::RecordWord::Rejected) right.rejected = true;
    if (event.word == agent::RecordWord::Renewed && right.granted)
        prolong(right, event.sent + event.ttl);
}

void Ledger::asks(const PromiseRequest& request) {
    const auto& set = state().candidates;
    round_ = Round{request.round, {request.epoch, request.epoch_id}, now(), request.ttl, set, {}};
    for (const auto& member : set.members) round_->missing.insert(member.pod);
}

// Only all of one set together count.
void Ledger::hears(const agent::PromiseAnswered& event) {
    const auto& answer = event.answer;
    if (!round_ || round_->number != answer.round || !answer.promised) return;
    if (answer.pod != event.member.pod) return;
    round_->missing.erase(answer.pod);
    Right& right = rights_[round_->game];
    if (round_->missing.empty() && round_->set == state().candidates && right.granted &&
        !right.closed)
        prolong(right, round_->sent + round_->ttl);
}

void Ledger::guards(TimePoint deadline, bool serves) const {
    if (alone()) return;
    if (deadline == TimePoint::max()) {
        if (serves) violate("mandate", "accepts writes without an end of its mandate");
        return;
    }
    if (deadline > entitled())
        violate("mandate", "counts on a mandate for " + ms(deadline - now()) + ", and was given " +
                               ms(entitled() - now()));
}

void Ledger::makes_master() const {
    const auto& s = state();
    if (s.epoch <= s.fenced)
        violate("fence", "makes a master in epoch " + std::to_string(s.epoch.value) +
                             ", where it was fenced");
    else if (!alone() && entitled() <= now())
        violate("mandate", "makes a master without a mandate");
}

void Ledger::was_too_late() const {
    violate("mandate", "let its PostgreSQL live until its warden killed it");
}

// --- orders -----------------------------------------------------------------------------------

void Ledger::obeys(const Order& order, const agent::State& before) {
    const auto what = std::string(to_string(order.kind)) + " of term " +
                      std::to_string(order.term.value) + ", epoch " +
                      std::to_string(order.epoch.value);
    if (order.term < before.term || order.epoch < before.epoch) violate("INV-2", "obeys " + what);
    if (order.incarnation != incarnation_)
        violate("orders", "obeys " + what + " for " + order.incarnation.value);
    if (now() > TimePoint(order.clock_reading + order.valid_for) + milliseconds(1))
        violate("orders", "obeys " + what + ", which is too old");
    if (agent::makes_master(order.kind) && order.epoch <= before.fenced)
        violate("fence",
                "obeys " + what + ", and was fenced at " + std::to_string(before.fenced.value));
    const bool expiry = order.kind == OrderKind::Promote && order.proof &&
                        order.proof->kind == ProofKind::Expiry && order.epoch > before.epoch;
    if (expiry && withheld_ < order.proof->epoch)
        violate("promise", "obeys " + what + ", and may promise the old master to wait");
    if (const auto until = contracts_.promised_until(place_.pod); expiry && until > now())
        violate("promise", "obeys " + what + ", and promised to wait for " + ms(until - now()));
    if (is_goal(order.kind))
        withheld_ = order.kind == OrderKind::Halt && order.withhold ? order.epoch : Epoch();
}

// --- promises and reports ---------------------------------------------------------------------

void Ledger::promises(const PromiseRequest& request) {
    if (request.epoch <= withheld_)
        violate("promise",
                "promises epoch " + std::to_string(request.epoch.value) + ", and was told not to");
    contracts_.promised(place_.pod, now() + expiry_wait(std::max(request.ttl, state().ttl)));
}

void Ledger::reports(const Report& report, bool processes_left) const {
    if (report.fence_confirmed && report.fenced >= report.epoch && processes_left)
        violate("fence", "confirms a fence, and PostgreSQL runs");
    const Duration owed = contracts_.promised_until(place_.pod) - now();
    if (report.promised + milliseconds(1) < owed)
        violate("promise",
                "reports a promise for " + ms(report.promised) + ", and owes one for " + ms(owed));
}

}  // namespace matriarch::sim
