#include <algorithm>

#include "kube/leader_election.h"
#include "kube/resource_version.h"

namespace matriarch::kube {
namespace {

bool is_older(const std::string& a, const std::string& b) {
    return compare_resource_versions(a, b) < 0;
}

}  // namespace

Status ElectionOptions::check() const {
    const auto invalid = [](std::string why) {
        return make_error(ErrorKind::Invalid, "leader election options", std::move(why));
    };
    if (lease.name.empty() || lease.ns.empty()) return invalid("lease needs namespace and name");
    if (identity.empty()) return invalid("identity is empty");
    if (retry_period <= Duration::zero()) return invalid("retry_period must be positive");
    if (renew_deadline < retry_period) return invalid("renew_deadline is below retry_period");
    if (validity() * 11 / 10 > lease_duration) {
        return invalid("lease_duration must be a tenth longer than retry_period + renew_deadline");
    }
    return {};
}

ElectionMachine::Action ElectionMachine::next(TimePoint now, WallTime wall) {
    if (leading_ && now >= valid_until_) leading_ = false;
    const auto wait = [&](TimePoint until) {
        Action action;
        // A leader wakes at the end of its validity to say so.
        action.wait_until = leading_ ? std::min(until, valid_until_) : until;
        return action;
    };
    if (now < next_try_) return wait(next_try_);
    if (!known_ || in_doubt_) {
        asked_ = record_ ? record_->resource_version : "";
        return {.what = Do::Read};
    }
    if (record_ && mine(*record_)) return {.what = Do::Update, .write = renewal(wall)};
    // Nobody, or somebody whose lease we have not yet seen to its end. A Lease that was deleted
    // under its holder's feet binds us as long: the holder may not know yet.
    if (now < expires_) return wait(expires_);
    return {.what = record_ ? Do::Update : Do::Create, .write = renewal(wall)};
}

void ElectionMachine::observed(const Lease& lease, TimePoint now) {
    if (in_doubt_) {
        const bool success = mine(lease) && lease.renew_time == in_doubt_->renew_time;
        const TimePoint sent = in_doubt_sent_;
        in_doubt_.reset();
        if (success) {
            accept(lease, sent);
            return;
        }
    }
    known_ = true;
    // The watch may be behind our own writes.
    if (record_ && (is_older(lease.resource_version, record_->resource_version) ||
                    lease.resource_version == record_->resource_version)) {
        return;
    }
    record_ = lease;
    min_transitions_ = std::max(min_transitions_, lease.transitions);
    if (mine(lease)) return;
    leading_ = false;
    if (lease.holder.empty()) {
        expires_ = now;
        return;
    }
    const auto jitter =
        Duration(random_.below(static_cast<std::uint64_t>(options_.jitter.count())));
    expires_ = now + std::chrono::seconds(lease.duration_seconds) + jitter;
}

void ElectionMachine::read(const Lease& lease, TimePoint now) {
    const bool known_then = record_ && record_->resource_version == asked_;
    if (known_then && is_older(lease.resource_version, asked_)) record_.reset();
    observed(lease, now);
}

void ElectionMachine::absent(const std::string& resource_version, TimePoint now) {
    if (record_ && !resource_version.empty() &&
        is_older(resource_version, record_->resource_version)) {
        return;
    }
    known_ = true;
    in_doubt_.reset();
    if (record_) {
        // Whoever creates it next must not fall below.
        min_transitions_ = record_->transitions + 1;
        if (mine(*record_)) expires_ = now;
    }
    record_.reset();
    leading_ = false;
}

void ElectionMachine::read_failed(TimePoint now) {
    next_try_ = now + options_.retry_period / 2;
}

void ElectionMachine::written(const Lease& answer, TimePoint sent) {
    in_doubt_.reset();
    accept(answer, sent);
}

void ElectionMachine::write_failed(const Error& error, const Lease& attempt, TimePoint sent,
                                   TimePoint now) {
    switch (error.kind) {
        case ErrorKind::OutcomeUnknown:
        case ErrorKind::Timeout:
        case ErrorKind::Cancelled:
        case ErrorKind::Conflict:
        case ErrorKind::AlreadyExists:
            // Perhaps our own doing: cpprest may have sent it twice.
            in_doubt_ = attempt;
            in_doubt_sent_ = sent;
            next_try_ = doubts_++ == 0 ? now : now + options_.retry_period / 2;
            break;
        case ErrorKind::NotFound:
            known_ = false;
            next_try_ = now;
            break;
        default: {
            Duration pause = options_.retry_period / 2;
            // A throttled leader may not wait longer than its renewals allow.
            if (error.retry_after) {
                pause = std::clamp<Duration>(*error.retry_after, pause, options_.retry_period);
            }
            next_try_ = now + pause;
        }
    }
}

void ElectionMachine::accept(const Lease& lease, TimePoint sent) {
    // A successor may have been seen while our answer was under way.
    if (record_ && is_older(lease.resource_version, record_->resource_version) && !mine(*record_)) {
        return;
    }
    known_ = true;
    doubts_ = 0;
    if (!record_ || !is_older(lease.resource_version, record_->resource_version)) record_ = lease;
    min_transitions_ = std::max(min_transitions_, lease.transitions);
    leading_ = true;
    valid_until_ = sent + options_.validity();
    next_try_ = sent + options_.retry_period;
}

Leadership ElectionMachine::leadership(TimePoint now) const {
    Leadership out;
    out.leading = leading_ && now < valid_until_;
    out.valid_until = valid_until_;
    if (record_) {
        out.term = static_cast<std::uint64_t>(record_->transitions) + 1;
        out.holder = record_->holder;
    }
    return out;
}

void ElectionMachine::raise_term(std::uint64_t at_least) {
    if (at_least == 0) return;
    min_transitions_ = std::max(min_transitions_, static_cast<std::int64_t>(at_least - 1));
}

Lease ElectionMachine::renewal(WallTime wall) const {
    Lease lease = record_.value_or(Lease{});
    const bool renewing = record_ && mine(*record_);
    lease.ns = options_.lease.ns;
    lease.name = options_.lease.name;
    for (const auto& [key, value] : options_.labels) lease.labels[key] = value;
    lease.duration_seconds = static_cast<int>(options_.lease_duration.count());
    lease.renew_time = format_rfc3339(wall);
    if (!renewing) {
        lease.holder = options_.identity;
        lease.acquire_time = lease.renew_time;
        if (record_) ++lease.transitions;
    }
    lease.transitions = std::max(lease.transitions, min_transitions_);
    return lease;
}

std::optional<Lease> ElectionMachine::release(WallTime wall) const {
    if (!record_ || !mine(*record_)) return std::nullopt;
    Lease lease = *record_;
    lease.holder.clear();
    lease.duration_seconds = 1;
    lease.renew_time = format_rfc3339(wall);
    return lease;
}

void ElectionMachine::released() {
    leading_ = false;
    known_ = false;
}

}  // namespace matriarch::kube
