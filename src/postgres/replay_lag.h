// ReplayLag: how late a slave is, by this machine's clock alone.
//
// The age of the last replayed commit would say that a slave is an hour late when an idle master
// writes again after an hour. So the moments are kept at which the end of the WAL was first seen
// further on; the lag is the age of the oldest such moment whose WAL is not replayed. What was
// there when nobody looked (before the first sample, or while no stream told) counts as old as it
// may be. Pure and small; the loop's thread only.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

#include "base/clock.h"
#include "model/ids.h"

namespace matriarch::postgres {

class ReplayLag {
  public:
    struct Sample {
        bool streaming = false;
        Lsn end;  // of the WAL that is known of, here or upstream
        Lsn replayed;
        std::chrono::milliseconds commit_age{0};  // of the last commit that was replayed
    };

    void sample(const Sample& sample, TimePoint now);
    std::chrono::milliseconds at(TimePoint now) const;

    // The server ended: what it comes back with is measured anew.
    void restart();

  private:
    struct Mark {
        Lsn end;
        TimePoint seen;
    };

    TimePoint oldest_possible(const Sample& sample, TimePoint now) const;
    void mark(Lsn end, TimePoint seen);

    std::deque<Mark> marks_;  // not replayed, oldest first
    Lsn end_;
    bool sampled_ = false, streaming_ = false;
    std::optional<TimePoint> streamed_;  // last, in this start of the agent
    TimePoint last_commit_{};            // that was replayed, as of the last sample
};

}  // namespace matriarch::postgres
