// Facts: an observation with the questions that several rules ask already answered. Pure.
#pragma once

#include <optional>
#include <vector>

#include "decide/decide.h"
#include "decide/observation.h"

namespace matriarch::decide {

// Why the master can't serve, worst first.
enum class MasterState {
    Serving,   // accepts writes in the record's epoch
    Starting,  // on its way, nothing to do but wait
    Ended,     // its agent says that PostgreSQL is not running, or is being stopped
    Fenced,    // confirmed: it will never again acknowledge in this epoch
    Stuck,     // its agent says that PostgreSQL is frozen, or its disk
    Silent,    // its agent does not answer; this proves nothing
    Gone,      // its pod is no more; this proves nothing either
};
std::string_view to_string(MasterState state);

// What a rule says: the next one is asked, or the plan stands.
enum class Verdict { Pass, Decided };

struct Facts {
    const Observation& seen;
    const Policy& policy;
    TimePoint now;
    const AuthorityRecord* record = nullptr;  // null: none yet
    const InstanceView* master = nullptr;     // the record's holder, if it exists
    MasterState master_state = MasterState::Gone;
    std::vector<const InstanceView*> others;  // by position, then by ordinal

    Facts(const Observation& observation, const Policy& policy, TimePoint now);

    // Its agent answered lately.
    bool fresh(const InstanceView& instance) const;
    // 1 = slave1; 0 = no position.
    int position_of(const InstanceName& instance) const;
    bool member(const InstanceName& instance) const;        // holder or in a position
    bool holds_record(const InstanceView& instance) const;  // with the record's pod UID
    bool excluded(const InstanceName& instance) const;      // by spec.failover.exclude
};

// It accepts writes, or would, as far as its report says.
bool serves(const InstanceView& instance);
// Its agent answers, and its PostgreSQL runs in recovery.
bool runs_as_slave(const Facts& facts, const InstanceView& instance);
// Nothing runs, and the data is that of a master, whose WAL is known to its end.
bool stopped_as_master(const Report& report);
// It needs a promotion to lead.
bool is_slaves_data(const Report& report);
// A data directory that could be started.
bool has_whole_data(const Report& report);
// Its volume is full, which has lasted; or has room for what a master writes for a good while.
bool volume_is_full(const Facts& facts, const InstanceView& instance);
bool volume_has_room(const Report& report);
// How far the copy goes of an instance that is no running master.
Lsn reach(const Report& report);

}  // namespace matriarch::decide
