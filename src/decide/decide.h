// decide: every choice about a cluster's topology, as one pure function.
//
// No clock, log, lock or I/O: equal observations give equal plans, on every operator. It is a chain
// of rules (rules.h); the first that has something to do decides, then the routes are compared.
// Total: it never fails; where a state is not understood it does nothing and says why.
#pragma once

#include "decide/observation.h"
#include "decide/plan.h"

namespace matriarch::decide {

// Limits that are not the user's. Durations are the operator's patience, never a proof.
struct Policy {
    Duration report_fresh = seconds(2);   // a report older than this is not knowledge
    Duration order_again = seconds(2);    // an unanswered order is sent again after this
    Duration order_valid = seconds(3);    // at most; also within leadership
    Duration halt_patience = seconds(1);  // slaves that do not halt by then are no candidates
    // How much longer than half its mandate a silent master's agent has to renew the record, or a
    // slave to hear of its master, before grants are stopped for good. Patience, never a proof.
    Duration listen = milliseconds(500);
    Duration stream_silent =
        seconds(2);  // receivers ask a silent master after 1.5 s (postgres/conf)
    Duration frozen = milliseconds(1500);        // a postmaster that takes no connection so long
    Duration disk_stalled = milliseconds(1500);  // a volume that takes no write so long
    Duration volume_full = seconds(3);           // a volume without room so long
    Duration down_after = seconds(10);      // a slave silent for so long leaves the candidate set
    Duration stream_patience = seconds(3);  // commits wait so long for a slave that does not stream
    // Percent of a volume: so little free, or so much taken by WAL, is told before it hurts. Slots
    // may keep a third of it (operator/instance_config), max_wal_size comes on top.
    int volume_low = 15, wal_large = 45;
    // A candidate that refuses its promotion is given up, once another can take over.
    Duration refusal_patience = seconds(5);
    Duration start_patience = seconds(60);  // crash recovery of a master with no better slave
};

Plan decide(const Observation& observation, const Policy& policy, TimePoint now);

}  // namespace matriarch::decide
