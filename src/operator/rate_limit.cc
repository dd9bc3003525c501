#include "operator/rate_limit.h"

#include <algorithm>

namespace matriarch::op {

RateLimiter::RateLimiter(RateLimit limit, const Clock& clock, std::size_t max_callers)
    : limit_(limit), clock_(clock), max_callers_(max_callers) {}

RateLimiter::Bucket& RateLimiter::bucket_of(const std::string& caller, TimePoint now) {
    const auto found = buckets_.find(caller);
    if (found != buckets_.end()) return found->second;
    if (buckets_.size() >= max_callers_)
        buckets_.erase(std::min_element(
            buckets_.begin(), buckets_.end(),
            [](const auto& a, const auto& b) { return a.second.seen < b.second.seen; }));
    return buckets_[caller] = {limit_.burst, now};
}

std::optional<Duration> RateLimiter::refuse(const std::string& caller, double cost) {
    const std::lock_guard lock(mutex_);
    const TimePoint now = clock_.now();
    Bucket& bucket = bucket_of(caller, now);
    const double since = std::chrono::duration<double>(now - bucket.seen).count();
    bucket.tokens = std::min(limit_.burst, bucket.tokens + since * limit_.per_second);
    bucket.seen = now;
    // More than the whole bucket is never there to be had.
    const double price = std::min(cost, limit_.burst);
    if (bucket.tokens >= price) {
        bucket.tokens -= price;
        return {};
    }
    return std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>((price - bucket.tokens) / limit_.per_second));
}

}  // namespace matriarch::op
