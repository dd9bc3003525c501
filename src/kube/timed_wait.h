// Waiting on a condition variable until a Deadline of the project's clock.
//
// Internal to kube. The clock counts suspended time and condition variables do not, so a wait that
// spans a suspend may end late by what was left of it; whoever needs better compares clocks anyway.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <stop_token>

#include "base/clock.h"

namespace matriarch::kube {

// True if `ready()` holds; false when the deadline passed or stop was requested.
template <class Ready>
bool timed_wait(std::condition_variable_any& changed, std::unique_lock<std::mutex>& lock,
                const Clock& clock, Deadline deadline, std::stop_token stop, Ready ready) {
    while (!ready()) {
        const Duration left = deadline.remaining(clock);
        if (left <= Duration::zero() || stop.stop_requested()) return false;
        // An hour keeps "never" from overflowing inside of wait_for.
        changed.wait_for(lock, stop, std::min<Duration>(left, std::chrono::hours(1)), ready);
    }
    return true;
}

}  // namespace matriarch::kube
