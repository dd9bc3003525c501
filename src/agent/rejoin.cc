#include "agent/rejoin.h"

#include <algorithm>

#include "base/mutant.h"

namespace matriarch::agent {
namespace {

bool has_number(const postgres::Position& position, Timeline timeline) {
    return position.timeline == timeline ||
           std::any_of(position.history.begin(), position.history.end(),
                       [&](const HistoryEntry& entry) { return entry.timeline == timeline; });
}

}  // namespace

bool number_misleads(const DataFacts& data, const Opening& own, const EpochId& opened_by,
                     const Order& order) {
    const Opening& theirs = order.opening;
    if (own.timeline.value == 0 || theirs.timeline.value == 0) return false;  // nothing is known
    if (opened_by.empty()) return !data.standby;
    if (data.timeline > theirs.timeline) return opened_by != order.epoch_id;
    return data.timeline == theirs.timeline && !theirs.by.empty() && opened_by != theirs.by;
}

Rejoin choose_rung(const DataFacts& data, const postgres::UpstreamFacts& upstream,
                   bool number_misleads) {
    Rejoin out;
    if (data.system_identifier != upstream.system_identifier) {
        out.why = "the data here has system identifier " + data.system_identifier.value +
                  ", the upstream's is " + upstream.system_identifier.value;
        return out;
    }
    if (data.kind == DataFacts::Kind::Broken || !data.end_of_wal.known()) {
        out.rung = Rejoin::Rung::Clone;
        out.why = data.trouble.empty() ? "the end of the WAL here can't be read" : data.trouble;
        return out;
    }
    // pg_rewind would find both on one timeline, too.
    if (number_misleads && has_number(upstream.position, data.timeline)) {
        out.rung = Rejoin::Rung::Clone;
        out.why = "timeline " + std::to_string(data.timeline.value) +
                  " here was opened by another promotion than the upstream's of that number";
        return out;
    }
    const postgres::Position own{data.timeline, data.history, data.end_of_wal};
    const auto fork = postgres::find_fork(own, upstream.position);
    if (!fork) {
        out.rung = Rejoin::Rung::Clone;
        out.why = "no timeline in common with the upstream";
        return out;
    }
    out.fork_timeline = fork->timeline;
    out.fork = fork->at;
    const bool same_timeline = data.timeline == upstream.position.timeline;
    const bool ahead = fork->at < data.end_of_wal && !same_timeline;
    if (mutant("follow_what_diverged") || (fork->timeline == data.timeline && !ahead)) {
        if (data.end_of_wal < upstream.oldest_wal) {
            out.rung = Rejoin::Rung::Clone;
            out.why = "the upstream no longer has the WAL from " + data.end_of_wal.str() + " to " +
                      upstream.oldest_wal.str();
            return out;
        }
        // On one and the same timeline there is one history; the upstream may be the one behind
        // when it is itself a slave.
        out.rung = Rejoin::Rung::Follow;
        out.why = "all WAL here is in the upstream's history";
        return out;
    }
    out.rung = Rejoin::Rung::Rewind;
    out.diverged = distance(fork->at, data.end_of_wal);
    out.why = std::to_string(out.diverged.value) + " bytes of WAL after " + fork->at.str() +
              " on timeline " + std::to_string(fork->timeline.value) +
              " are not in the upstream's history";
    return out;
}

}  // namespace matriarch::agent
