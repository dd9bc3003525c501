// Time as the whole project sees it: a monotonic clock that goes on while a machine is suspended
// (CLOCK_BOOTTIME), a wall clock for stamps that people read, and deadlines.
//
// Nothing decides from wall time. All code takes a Clock& so that a simulation can own the time.
// TimePoints of two machines are never compared.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace matriarch {

// CLOCK_BOOTTIME as a std::chrono clock type (no now(): time comes from a Clock&).
struct BootTime {
    using rep = std::int64_t;
    using period = std::nano;
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::time_point<BootTime, duration>;
    static constexpr bool is_steady = true;
};

using Duration = BootTime::duration;
using TimePoint = BootTime::time_point;
using WallTime = std::chrono::system_clock::time_point;

using std::chrono::milliseconds;
using std::chrono::seconds;

class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
    virtual WallTime wall() const = 0;
};

// The machine's clocks. Stateless; safe from any thread.
class SystemClock final : public Clock {
  public:
    TimePoint now() const override;
    WallTime wall() const override;
};

// A point after which a caller stops waiting. Passed as one of the last parameters.
struct Deadline {
    TimePoint at = TimePoint::max();

    static Deadline after(const Clock& clock, Duration wait) { return {clock.now() + wait}; }
    static Deadline never() { return {}; }
    bool passed(const Clock& clock) const { return clock.now() >= at; }
    // Zero once passed.
    Duration remaining(const Clock& clock) const;
};

// RFC 3339 in UTC with six digits of fraction, as Kubernetes' MicroTime wants it.
std::string format_rfc3339(WallTime time);

// Whole milliseconds, for logs and wire formats.
std::int64_t to_ms(Duration duration);
std::int64_t to_ms(TimePoint point);

}  // namespace matriarch
