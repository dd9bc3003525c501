#include "kube/watch_machine.h"

#include <algorithm>
#include <utility>

namespace matriarch::kube {

std::string_view to_string(WatchState state) {
    switch (state) {
        case WatchState::List:
            return "list";
        case WatchState::Watch:
            return "watch";
        case WatchState::Backoff:
            return "backoff";
    }
    return "?";
}

WatchMachine::Step WatchMachine::next(TimePoint now) {
    if (state_ == WatchState::Backoff && now >= backoff_until_) state_ = after_backoff_;
    Step step;
    step.state = state_;
    if (state_ == WatchState::Backoff) step.until = backoff_until_;
    if (state_ == WatchState::Watch) {
        step.resource_version = resource_version_;
        const auto range = tuning_.timeout_max - tuning_.timeout_min;
        step.timeout =
            tuning_.timeout_min +
            std::chrono::seconds(random_.below(static_cast<std::uint64_t>(range.count()) + 1));
    }
    return step;
}

void WatchMachine::listed(std::string resource_version, TimePoint) {
    resource_version_ = std::move(resource_version);
    expired_once_ = false;
    state_ = WatchState::Watch;
}

void WatchMachine::list_failed(const Error& error, TimePoint now) {
    // The listing expired between two pages: a fresh one will do, unless that happens every time.
    if (error.kind == ErrorKind::Gone && !expired_once_) {
        expired_once_ = true;
        last_error_ = error;
        return;
    }
    back_off(error, WatchState::List, now);
}

void WatchMachine::watch_started(TimePoint now) {
    watch_started_ = now;
    got_event_ = false;
    left_ = false;
}

void WatchMachine::event(std::string resource_version) {
    got_event_ = true;
    if (!resource_version.empty()) resource_version_ = std::move(resource_version);
}

WatchVerdict WatchMachine::error_event(const Error& error, TimePoint now) {
    left_ = true;
    switch (error.kind) {
        case ErrorKind::Gone:
            last_error_ = error;
            state_ = WatchState::List;
            // A server that answers 410 to each watch would make a hot loop of lists.
            if (!got_event_ && now - watch_started_ < tuning_.too_short) {
                back_off(error, WatchState::List, now);
            }
            break;
        case ErrorKind::Throttled:
        case ErrorKind::Timeout:
        case ErrorKind::Unavailable:  // InternalError
        case ErrorKind::Unauthorized:
        case ErrorKind::Forbidden:
            back_off(error, WatchState::Watch, now);
            break;
        default:
            back_off(error, WatchState::List, now);
    }
    return WatchVerdict::Leave;
}

void WatchMachine::watch_ended(TimePoint now) {
    if (std::exchange(left_, false)) return;
    if (!got_event_ && now - watch_started_ < tuning_.too_short) {
        back_off(make_error(ErrorKind::Unavailable, "watch ended at once without an event"),
                 WatchState::Watch, now);
        return;
    }
    state_ = WatchState::Watch;
}

void WatchMachine::watch_broken(const Error& error, TimePoint now) {
    last_error_ = error;
    watch_ended(now);
}

void WatchMachine::watch_failed(const Error& error, TimePoint now) {
    if (std::exchange(left_, false)) return;
    switch (error.kind) {
        case ErrorKind::Gone:
            // 410 as HTTP status instead of an event; and "too large" of a restored etcd.
            last_error_ = error;
            state_ = WatchState::List;
            if (now - watch_started_ < tuning_.too_short) back_off(error, WatchState::List, now);
            return;
        case ErrorKind::NotFound:  // the kind is gone (CRD deleted), and with it all objects
        case ErrorKind::Invalid:
            back_off(error, WatchState::List, now);
            return;
        default:
            // Refused, broken, silent, throttled, not allowed: nothing of what we know is wrong,
            // and a server that restarts must not be met with lists (reflector.go L1195).
            back_off(error, WatchState::Watch, now);
    }
}

void WatchMachine::back_off(const Error& error, WatchState then, TimePoint now) {
    const bool healthy_since =
        backoff_ == Duration::zero() || now - last_backoff_ > tuning_.backoff_reset + backoff_;
    const bool away = error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::Timeout ||
                      error.kind == ErrorKind::OutcomeUnknown;
    const Duration cap = std::min(tuning_.backoff_cap, away ? tuning_.away_cap : Duration::max());
    backoff_ = healthy_since ? tuning_.backoff_first : std::min(backoff_ * 2, cap);
    last_backoff_ = now;
    // Jitter factor 1: [d, 2d).
    Duration wait =
        backoff_ + Duration(random_.below(static_cast<std::uint64_t>(backoff_.count())));
    if (error.retry_after) wait = std::max<Duration>(wait, *error.retry_after);
    backoff_until_ = now + wait;
    after_backoff_ = then;
    state_ = WatchState::Backoff;
    last_error_ = error;
}

}  // namespace matriarch::kube
