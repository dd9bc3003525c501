// RateLimiter: how often each caller may ask: a token bucket per caller.
//
// Callers are names that the user of this class chooses (an address, a user). Bounded: of too many
// callers the one that was seen longest ago is forgotten, and begins with a full bucket. Safe from
// any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace matriarch::op {

struct RateLimit {
    double per_second = 10;
    double burst = 20;
};

class RateLimiter {
  public:
    RateLimiter(RateLimit limit, const Clock& clock, std::size_t max_callers = 1024);

    // Nothing: it may ask, and has paid for it. Otherwise how long until it may.
    std::optional<Duration> refuse(const std::string& caller, double cost = 1);

  private:
    struct Bucket {
        double tokens = 0;
        TimePoint seen;
    };
    Bucket& bucket_of(const std::string& caller, TimePoint now);

    const RateLimit limit_;
    const Clock& clock_;
    const std::size_t max_callers_;
    std::mutex mutex_;
    std::map<std::string, Bucket> buckets_;  // guarded by mutex_
};

}  // namespace matriarch::op
