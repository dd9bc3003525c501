#include "base/clock.h"

#include <time.h>

#include <algorithm>
#include <cstdio>

namespace matriarch {

TimePoint SystemClock::now() const {
    timespec ts{};
    clock_gettime(CLOCK_BOOTTIME, &ts);
    return TimePoint(std::chrono::seconds(ts.tv_sec) + std::chrono::nanoseconds(ts.tv_nsec));
}

WallTime SystemClock::wall() const {
    return std::chrono::system_clock::now();
}

Duration Deadline::remaining(const Clock& clock) const {
    if (at == TimePoint::max()) return Duration::max();
    return std::max(Duration::zero(), at - clock.now());
}

std::string format_rfc3339(WallTime time) {
    const auto micros =
        std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
    const time_t secs = static_cast<time_t>(micros / 1000000);
    tm utc{};
    gmtime_r(&secs, &utc);
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    char out[48];
    snprintf(out, sizeof out, "%s.%06dZ", date, static_cast<int>(micros % 1000000));
    return out;
}

std::int64_t to_ms(Duration duration) {
    return std::chrono::duration_cast<milliseconds>(duration).count();
}

std::int64_t to_ms(TimePoint point) {
    return to_ms(point.time_since_epoch());
}

}  // namespace matriarch
