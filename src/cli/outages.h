// Outages: when writes were not possible, as the client saw it.
//
// An outage lasts from the last acknowledgement before a failure (or before a silence longer than
// `stall`) to the next acknowledgement. Before the first acknowledgement there is none. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace matriarch::cli {

struct Outage {
    TimePoint began;
    TimePoint ended;
    std::string error;  // the first one; empty for a mere silence
    Duration length() const { return ended - began; }
};

class Outages {
  public:
    explicit Outages(Duration stall = milliseconds(250)) : stall_(stall) {}

    // True if this begins an outage.
    bool failure(TimePoint now, const std::string& why);
    // The outage that this acknowledgement ends, if any.
    std::optional<Outage> acknowledgement(TimePoint now);
    // The outage that still lasts at the end of a run is an outage too.
    std::optional<Outage> finish(TimePoint now);

    const std::vector<Outage>& all() const { return all_; }
    Duration longest() const;

  private:
    std::optional<Outage> close(TimePoint now);

    Duration stall_;
    std::optional<TimePoint> last_;     // acknowledgement
    std::optional<std::string> error_;  // the first one since then
    std::vector<Outage> all_;
};

}  // namespace matriarch::cli
