// Ledger: what one agent was told, gave and stored, as the world saw it pass, and what it owes by
// that: no mandate that nobody gave, no promise broken, no order obeyed that is over, nothing
// forgotten. One for each start of an agent.
//
// It is told of messages before the agent is, and counts in the agent's favour where it can't know
// whether one counts, so what it calls broken is.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "agent/state.h"
#include "agent/ways.h"
#include "contracts.h"
#include "model/report.h"
#include "postgres.h"

namespace matriarch::sim {

class Ledger {
  public:
    Ledger(const Place& place, Contracts& contracts);

    // Its volume, as it finds it.
    void begins(const agent::State& stored, const Incarnation& incarnation);
    void saves(const agent::State& before, const agent::State& next, bool processes_left);

    // What it is told.
    void hears(const Poll& poll);
    void hears(const Order& order);
    void hears(const agent::RecordAnswered& event);
    void hears(const agent::PromiseAnswered& event);
    // What it asks and says.
    void asks(const PromiseRequest& request);
    void obeys(const Order& order, const agent::State& before);
    void promises(const PromiseRequest& request);
    void reports(const Report& report, bool processes_left) const;
    // What it does. `serves`: its server accepts writes.
    void guards(TimePoint deadline, bool serves) const;
    void makes_master() const;
    // How long it may have its master acknowledge still.
    Duration right_left() const;
    void was_too_late() const;

  private:
    using Game = std::pair<Epoch, EpochId>;
    struct Right {
        TimePoint until;
        bool granted = false, rejected = false;
        std::optional<TimePoint> closed;
    };
    struct Round {
        std::uint64_t number = 0;
        Game game;
        TimePoint sent;
        milliseconds ttl{0};
        CandidateSet set;
        std::set<PodUid> missing;
    };

    TimePoint now() const;
    const agent::State& state() const;
    bool alone() const;
    TimePoint entitled() const;
    void granted(const Grant& grant);
    void prolong(Right& right, TimePoint until);
    void violate(const char* rule, const std::string& what) const;

    const Place& place_;
    Contracts& contracts_;
    Incarnation incarnation_;
    std::map<Game, Right> rights_;
    std::optional<Round> round_;  // the last one: former ones count for nothing
    Epoch withheld_;
};

}  // namespace matriarch::sim
