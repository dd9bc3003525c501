#include "kube/work_queue.h"

#include <algorithm>
#include <cmath>

namespace matriarch::kube {

void WorkQueueCore::add(const std::string& key, Priority priority, TimePoint now) {
    if (shutting_down_) return;
    if (const auto found = dirty_.find(key); found != dirty_.end()) {
        Dirty& dirty = found->second;
        if (priority <= dirty.place.priority) return;
        // More urgent: it keeps its age inside of the new priority.
        const bool queued = order_.erase(dirty.place) > 0;
        dirty.place.priority = priority;
        if (queued) push(key, dirty);
        return;
    }
    const Dirty dirty{{priority, sequence_++}, now};
    dirty_.emplace(key, dirty);
    if (!processing_.contains(key)) push(key, dirty);
}

void WorkQueueCore::add_after(const std::string& key, Duration delay, Priority priority,
                              TimePoint now) {
    if (shutting_down_) return;
    if (delay <= Duration::zero()) {
        add(key, priority, now);
        return;
    }
    const TimePoint at = now + delay;
    const auto [entry, fresh] = delayed_.try_emplace(key, Delayed{at, priority});
    if (!fresh) {
        Delayed& old = entry->second;
        old.priority = std::max(old.priority, priority);
        if (old.at <= at) return;
        delayed_order_.erase({old.at, key});
        old.at = at;
    }
    delayed_order_.emplace(at, key);
}

Duration WorkQueueCore::add_rate_limited(const std::string& key, Priority priority, TimePoint now) {
    const int failed = failures_[key]++;
    // 2^40 times any sensible first delay is beyond every cap.
    const double factor = std::ldexp(1.0, std::min(failed, 40));
    const double first = static_cast<double>(tuning_.backoff_first.count());
    const double cap = static_cast<double>(tuning_.backoff_cap.count());
    const Duration backoff(static_cast<Duration::rep>(std::min(first * factor, cap)));

    // Token bucket; a reservation is taken even if the key's own delay is longer.
    if (now > tokens_at_) {
        const double passed = std::chrono::duration<double>(now - tokens_at_).count();
        tokens_ = std::min(static_cast<double>(tuning_.burst), tokens_ + passed * tuning_.rate);
        tokens_at_ = now;
    }
    tokens_ -= 1;
    Duration bucket{};
    if (tokens_ < 0) {
        bucket = std::chrono::duration_cast<Duration>(
            std::chrono::duration<double>(-tokens_ / tuning_.rate));
    }
    const Duration delay = std::max(backoff, bucket);
    add_after(key, delay, priority, now);
    return delay;
}

void WorkQueueCore::move_due(TimePoint now) {
    while (!delayed_order_.empty() && delayed_order_.begin()->first <= now) {
        const auto [at, key] = *delayed_order_.begin();
        const Priority priority = delayed_.at(key).priority;
        delayed_order_.erase(delayed_order_.begin());
        delayed_.erase(key);
        add(key, priority, now);
    }
}

std::optional<std::string> WorkQueueCore::take(TimePoint now) {
    move_due(now);
    if (order_.empty()) return std::nullopt;
    std::string key = std::move(order_.begin()->second);
    order_.erase(order_.begin());
    dirty_.erase(key);
    processing_.insert(key);
    return key;
}

void WorkQueueCore::done(const std::string& key) {
    processing_.erase(key);
    if (const auto found = dirty_.find(key); found != dirty_.end()) push(key, found->second);
}

TimePoint WorkQueueCore::next_due() const {
    if (!order_.empty()) return TimePoint::min();
    return delayed_order_.empty() ? TimePoint::max() : delayed_order_.begin()->first;
}

void WorkQueueCore::shut_down() {
    shutting_down_ = true;
    delayed_.clear();
    delayed_order_.clear();
}

int WorkQueueCore::failures(const std::string& key) const {
    const auto found = failures_.find(key);
    return found == failures_.end() ? 0 : found->second;
}

Duration WorkQueueCore::oldest(TimePoint now) const {
    Duration oldest{};
    for (const auto& [place, key] : order_) {
        oldest = std::max(oldest, now - dirty_.at(key).since);
    }
    return oldest;
}

void WorkQueue::add(const std::string& key, Priority priority) {
    {
        std::scoped_lock lock(mutex_);
        ++adds_;
        core_.add(key, priority, clock_.now());
    }
    waiter_.notify();
}

void WorkQueue::add_after(const std::string& key, Duration delay, Priority priority) {
    {
        std::scoped_lock lock(mutex_);
        ++adds_;
        core_.add_after(key, delay, priority, clock_.now());
    }
    waiter_.notify();
}

void WorkQueue::add_rate_limited(const std::string& key, Priority priority) {
    {
        std::scoped_lock lock(mutex_);
        ++adds_;
        ++retries_;
        core_.add_rate_limited(key, priority, clock_.now());
    }
    waiter_.notify();
}

void WorkQueue::forget(const std::string& key) {
    std::scoped_lock lock(mutex_);
    core_.forget(key);
}

std::optional<std::string> WorkQueue::get(std::stop_token stop) {
    while (!stop.stop_requested()) {
        const std::uint64_t ticket = waiter_.ticket();
        Deadline due;
        {
            std::scoped_lock lock(mutex_);
            if (auto key = core_.take(clock_.now())) return key;
            if (core_.shutting_down()) return std::nullopt;
            due.at = core_.next_due();
        }
        waiter_.wait(ticket, due, stop);
    }
    return std::nullopt;
}

void WorkQueue::done(const std::string& key) {
    {
        std::scoped_lock lock(mutex_);
        core_.done(key);
    }
    waiter_.notify();
}

void WorkQueue::shut_down() {
    {
        std::scoped_lock lock(mutex_);
        core_.shut_down();
    }
    waiter_.notify();
}

bool WorkQueue::drain(Deadline deadline, std::stop_token stop) {
    for (;;) {
        const std::uint64_t ticket = waiter_.ticket();
        {
            std::scoped_lock lock(mutex_);
            if (core_.idle()) return true;
        }
        if (deadline.passed(clock_) || stop.stop_requested()) return false;
        waiter_.wait(ticket, deadline, stop);
    }
}

std::size_t WorkQueue::depth() const {
    std::scoped_lock lock(mutex_);
    return core_.depth();
}

int WorkQueue::failures(const std::string& key) const {
    std::scoped_lock lock(mutex_);
    return core_.failures(key);
}

WorkQueue::Stats WorkQueue::stats() const {
    std::scoped_lock lock(mutex_);
    return {adds_, retries_, core_.depth(), core_.processing(), core_.oldest(clock_.now())};
}

}  // namespace matriarch::kube
