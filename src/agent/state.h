// State: what an agent must remember over its own death, and StateStore, where it is kept.
//
// Outside the data directory, since that is cloned and rewound. An order is obeyed only after its
// term and epoch are on disk (INV-2), so save() returns after fsync of file and folder. A file that
// can't be read or whose checksum is wrong is never taken for "nothing known": load() fails, and
// the agent then refuses to lead. One owner thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/config.h"
#include "model/order.h"
#include "model/report.h"

namespace matriarch::agent {

struct State {
    Term term;
    Epoch epoch;
    EpochId epoch_id;
    Epoch fenced;                          // every process of epochs up to this one is gone ...
    PodUid fenced_by;                      // ... of this pod
    CandidateSet candidates;               // of `epoch`
    std::chrono::milliseconds ttl{0};      // the largest mandate that anybody told of
    SyncRule sync;                         // of `epoch`
    std::optional<InstanceConfig> config;  // in force
    std::optional<Order> goal;             // the last one that lasts: Follow, Halt, Lead, ...
    EpochId initialized_for;               // the epoch for which a data directory was made here
    Rejoined rejoined;                     // the last time
    Opening opening;   // of the data here: the newest timeline of which it is known
    EpochId promotes;  // a promotion for this epoch was triggered, and what it opened not yet seen
    friend bool operator==(const State&, const State&) = default;
};

class StateStore {
  public:
    virtual ~StateStore() = default;
    // A default State when nothing was ever saved.
    virtual Result<State> load() = 0;
    virtual Status save(const State& state) = 0;
    // What ends a mandate, as against what begins one, need not wait for a volume that stalls.
    virtual Status save_fence(const State& state) = 0;
};

// One copy of a state among several: the one that was saved last counts.
struct StoredState {
    State state;
    std::uint64_t count = 0;  // of all saves
};

// The file's content: a line with the checksum of all that follows, then JSON.
std::string encode_state(const StoredState& stored);
Result<StoredState> decode_state(std::string_view text);

}  // namespace matriarch::agent
