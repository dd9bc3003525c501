#include "postgres/replay_lag.h"

#include <algorithm>

namespace matriarch::postgres {
namespace {

constexpr int kSteps = 32;  // marks stand so close that lag is overstated by 1/32 at most

}  // namespace

TimePoint ReplayLag::oldest_possible(const Sample& sample, TimePoint now) const {
    if (sampled_ && streaming_) return now;
    return streamed_ ? *streamed_ : now - sample.commit_age;
}

// The further back, the coarser, so that hours of lag take a few hundred marks. Where one serves
// for two, it is the older: a slave never looks fresher than it is.
void ReplayLag::mark(Lsn end, TimePoint seen) {
    const bool close =
        !marks_.empty() && seen - marks_.back().seen < (seen - marks_.front().seen) / kSteps;
    if (close)
        marks_.back().end = end;
    else
        marks_.push_back({end, seen});
}

void ReplayLag::sample(const Sample& sample, TimePoint now) {
    const Lsn end = std::max(sample.end, sample.replayed);
    // Another master begins where the former had got further: what is not there is not missed.
    if (end < end_)
        for (Mark& mark : marks_) mark.end = std::min(mark.end, end);
    if (end > end_ || !sampled_) mark(end, oldest_possible(sample, now));
    end_ = end;
    while (!marks_.empty() && marks_.front().end <= sample.replayed) marks_.pop_front();

    sampled_ = true;
    streaming_ = sample.streaming;
    if (streaming_) streamed_ = now;
    last_commit_ = now - sample.commit_age;
}

std::chrono::milliseconds ReplayLag::at(TimePoint now) const {
    TimePoint since = marks_.empty() ? now : marks_.front().seen;
    // Without a stream nothing is known to be behind; the time since then may be.
    if (sampled_ && !streaming_) since = std::min(since, streamed_ ? *streamed_ : last_commit_);
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - since);
}

void ReplayLag::restart() {
    marks_.clear();
    end_ = Lsn();
    sampled_ = streaming_ = false;
}

}  // namespace matriarch::postgres
