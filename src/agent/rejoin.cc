#include "agent/rejoin.h"

#include "base/mutant.h"

namespace matriarch::agent {

Rejoin choose_rung(const DataFacts& data, const postgres::UpstreamFacts& upstream) {
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
