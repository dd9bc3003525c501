// Which endpoint of an external topology is its master now. Pure.
//
// The provider fails over; we only see who accepts writes. Hysteresis: an endpoint counts as
// writable when it was so for a moment, and the former master stays the master as long as it still
// accepts writes, or is merely silent while nobody has taken its place. Writes are never routed to
// two: of two writable ones the former master counts, and who was writable beside it is no
// successor when it is lost, nor is who is on an older timeline, or another database: they may
// lack what was written since.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "decide/plan.h"
#include "model/ids.h"

namespace matriarch::decide {

// One endpoint as last seen.
struct EndpointSight {
    InstanceName name;
    bool reachable = false;
    Known writable = Known::Unknown;  // of one that is reachable
    SystemIdentifier system;          // empty: it does not tell
    Timeline timeline;                // of one that is writable; 0: not known
};

// What a look leaves for the next one.
struct MasterMemory {
    InstanceName master;  // empty: there has been none
    SystemIdentifier system;
    Timeline timeline;
    TimePoint writable_at;                    // when it was last seen to accept writes
    std::optional<TimePoint> lost;            // since when it has not
    std::map<InstanceName, TimePoint> since;  // since when each writable endpoint is
};

struct MasterPolicy {
    Duration settle = milliseconds(300);  // two looks of the prober
    Duration overlap =
        milliseconds(1500);  // so long a promoted slave and its old master may both be seen
};

struct MasterChoice {
    MasterMemory memory;
    bool serves = false;           // the master accepts writes, as far as is known
    Finding one_master;            // condition OneMaster
    std::optional<Duration> wait;  // until this may be decided differently by itself
};

// `named` is the one that the spec calls master: it decides only where nothing else does.
MasterChoice choose_master(const MasterMemory& before, const std::vector<EndpointSight>& seen,
                           const InstanceName& named, const MasterPolicy& policy, TimePoint now);

}  // namespace matriarch::decide
