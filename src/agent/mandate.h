// Mandate: the right to acknowledge writes, and until when. A pure state machine: the rules of the
// game, without clock, disk or network. See design: Mandate.
//
// Three ways prolong it, each counted on our own clock from before the question was asked: (1) a
// grant of the operator, (2) our renewal of the record, (3) the promises of the whole stored
// candidate set in one round. A mandate is never shortened, but for one thing: the record names
// another, then it is over at once. Ways 2 and 3 prolong, they never begin: the first mandate of an
// epoch in one incarnation is a grant, and only a master that writes (or is in its one bounded
// start) asks for them, from half of its time on. A stored, empty set means alone: nobody else can
// be master, so nothing runs out. Owned by Agent; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "agent/ways.h"
#include "base/clock.h"
#include "model/mandate.h"

namespace matriarch::agent {

// Who plays. The agent says it anew whenever something of it changed.
struct Seat {
    Epoch epoch;
    EpochId epoch_id;
    Epoch fenced;             // nothing gives a mandate for an epoch up to this one
    CandidateSet candidates;  // as stored for `epoch`
    milliseconds ttl{0};      // the largest in force
    bool serves = false;      // it accepts writes, or is in its one bounded start
    friend bool operator==(const Seat&, const Seat&) = default;
};

class Mandate {
  public:
    // Another epoch or id begins the game anew.
    void sit(const Seat& seat);

    // The moves. `now` is when the answer came.
    // Way 1. Nothing: it counts. Otherwise why it does not.
    std::optional<std::string> take(const Grant& grant, TimePoint now);
    // Way 2.
    void record_said(RecordWord word, milliseconds ttl, TimePoint sent, TimePoint now);
    // Way 3.
    void member_said(std::uint64_t round, const PodUid& pod, bool promised);
    // Ways 2 and 3 now, whatever is left: the bounded start wants a renewal of its own.
    void hurry() { hurry_ = true; }

    // What to ask now; it counts as asked.
    struct Questions {
        bool record = false;
        std::optional<std::uint64_t> round;  // promises, of every member of the stored set
    };
    Questions ask(TimePoint now);
    // How long a question waits for its answer.
    milliseconds patience() const;

    bool alone() const;
    // It may acknowledge, and there is time to end that before the deadline.
    bool holds(TimePoint now) const;
    // At the deadline the last process is dead; it is killed from fence_at() on.
    TimePoint deadline() const;
    TimePoint fence_at() const;
    MandateSource source() const;
    milliseconds left(TimePoint now) const;
    bool rejected() const { return rejected_; }
    // Ways 2 or 3 gave what is held, and were asked after `when`.
    bool renewed_since(TimePoint when) const;
    // When to ask or to look again at the latest.
    TimePoint wake(TimePoint now) const;

  private:
    struct Round {
        std::uint64_t number = 0;
        TimePoint sent;
        std::set<PodUid> missing;
        bool over = false;  // all have answered, or one refused
    };

    void prolong(TimePoint from, Duration length, MandateSource source);
    bool may_ask(TimePoint now) const;
    TimePoint half_time() const;
    // When it may be asked again; nothing: it was not asked yet.
    std::optional<TimePoint> next_record() const;
    std::optional<TimePoint> next_round() const;

    Seat seat_;
    MandateSource source_ = MandateSource::None;
    TimePoint from_, deadline_;        // of the mandate that lasts longest
    bool granted_ = false;             // in this epoch, to this incarnation
    bool rejected_ = false;            // the record names another: nothing counts any more
    std::optional<TimePoint> closed_;  // the record ended ways 2 and 3; seen then
    bool hurry_ = false;

    std::optional<TimePoint> record_sent_;
    bool record_waits_ = false;
    std::uint64_t last_round_ = 0;  // never used twice
    std::optional<Round> round_;
};

}  // namespace matriarch::agent
