// Ways and Guard: what the mandate needs of the world beside PostgreSQL.
//
// Ways are the two by which a master prolongs its mandate without the operator: its own renewal of
// the record, and the promises of its candidate set. Guard is the warden, which kills in time even
// if this process is frozen. Calls return at once; answers come back as events through the one
// queue of the main loop, at most one for each question, and perhaps none. Main thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/mandate.h"
#include "model/record.h"

namespace matriarch::agent {

// What the record said to the master that tried to renew it.
enum class RecordWord {
    Nothing,   // no answer, a lost race, or our promotion, which is not verified yet
    Renewed,   //
    Ends,      // closing, or a phase that we do not know
    Rejected,  // another holder, pod, epoch or id
};

// Whose mandate it is about: answers to an earlier epoch's questions count for nothing.
struct Claim {
    InstanceName holder;
    PodUid pod;
    Epoch epoch;
    EpochId epoch_id;
    friend bool operator==(const Claim&, const Claim&) = default;
};

// Events.
struct RecordAnswered {
    Claim claim;
    TimePoint sent;  // when the question was asked, before anything was sent
    RecordWord word = RecordWord::Nothing;
    milliseconds ttl{0};  // Renewed: of the record
    std::string why;      // for people
};
struct PromiseAnswered {
    Member member;  // who was asked
    PromiseAnswer answer;
};

class Ways {
  public:
    virtual ~Ways() = default;
    virtual void renew_record(const Claim& claim, TimePoint sent, Deadline deadline) = 0;
    virtual void ask_promises(const PromiseRequest& request, const std::vector<Member>& members,
                              Deadline deadline) = 0;
    // Whom we may have to ask: their addresses are looked up while all is well.
    virtual void expect(const std::vector<Member>& members) = 0;
};

class Guard {
  public:
    virtual ~Guard() = default;
    // Every PostgreSQL process is to be dead at `deadline`; TimePoint::max(): none need be.
    virtual void dead_by(TimePoint deadline) = 0;
};

}  // namespace matriarch::agent
