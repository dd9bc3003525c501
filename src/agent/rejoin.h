// The rejoin ladder: how a data directory that was left behind becomes a slave again. Pure.
//
// Follow if all that it has is in the upstream's history, and what comes next is still there; else
// pg_rewind; else a new clone. Judged by the end of the valid WAL and the histories, never by
// pg_control, and never by comparing LSNs of different timelines (INV-6).
#pragma once

#include <string>

#include "agent/instance.h"

namespace matriarch::agent {

struct Rejoin {
    enum class Rung { Follow, Rewind, Clone, Refuse };
    Rung rung = Rung::Refuse;
    std::string why;
    Timeline fork_timeline;
    Lsn fork;  // Rewind: where the histories part
    Bytes diverged;
};

// `number_misleads`: that the upstream has a timeline of the data's number does not make it this
// one.
Rejoin choose_rung(const DataFacts& data, const postgres::UpstreamFacts& upstream,
                   bool number_misleads);

// Whether it may not. `own` is what is known of the data's opening, `opened_by` who opened the
// timeline that it is on now, `order` the one to follow. Data that left recovery without its
// agent's doing, as by a promotion by hand, is nobody's.
bool number_misleads(const DataFacts& data, const Opening& own, const EpochId& opened_by,
                     const Order& order);

}  // namespace matriarch::agent
