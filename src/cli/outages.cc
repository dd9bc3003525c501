#include "cli/outages.h"

#include <algorithm>

namespace matriarch::cli {

bool Outages::failure(TimePoint /*now*/, const std::string& why) {
    if (!last_ || error_) return false;
    error_ = why;
    return true;
}

std::optional<Outage> Outages::acknowledgement(TimePoint now) {
    std::optional<Outage> ended;
    if (last_ && (error_ || now - *last_ > stall_)) ended = close(now);
    last_ = now;
    error_.reset();
    return ended;
}

std::optional<Outage> Outages::finish(TimePoint now) {
    if (!last_ || !error_) return {};
    return close(now);
}

std::optional<Outage> Outages::close(TimePoint now) {
    return all_.emplace_back(Outage{*last_, now, error_.value_or("")});
}

Duration Outages::longest() const {
    Duration longest{0};
    for (const Outage& outage : all_) longest = std::max(longest, outage.length());
    return longest;
}

}  // namespace matriarch::cli
