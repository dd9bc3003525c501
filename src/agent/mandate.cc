#include "agent/mandate.h"

#include <algorithm>

#include "base/mutant.h"

namespace matriarch::agent {
namespace {

// From SIGKILL until the last process is gone: 21 ms, and up to 100 ms on 2 cores at a load of 10.
constexpr Duration kFenceLead = milliseconds(150);
constexpr Duration kAskEvery = milliseconds(250);
constexpr milliseconds kLeastPatience{200};

}  // namespace

void Mandate::sit(const Seat& seat) {
    if (seat == seat_) return;
    const bool same_game = seat.epoch == seat_.epoch && seat.epoch_id == seat_.epoch_id;
    if (!same_game) {
        const auto last_round = last_round_;
        *this = Mandate();
        last_round_ = last_round;
    }
    // Only the promises of all members of one and the same set count together.
    if (seat.candidates != seat_.candidates) round_.reset();
    seat_ = seat;
}

// --- the ways ---------------------------------------------------------------------------------

std::optional<std::string> Mandate::take(const Grant& grant, TimePoint now) {
    const TimePoint reading{grant.reading};
    if (grant.epoch != seat_.epoch || grant.epoch_id != seat_.epoch_id)
        return "it is for another epoch";
    if (grant.epoch <= seat_.fenced) return "the epoch was fenced";
    if (rejected_) return "the record names another master";
    if (reading > now) return "its clock reading is in the future";
    granted_ = true;
    // Whoever granted after we saw the record close has opened it again.
    if (closed_ && reading >= *closed_) closed_.reset();
    prolong(mutant("mandate_from_arrival") ? now : reading, grant.ttl, MandateSource::Grant);
    return {};
}

void Mandate::record_said(RecordWord word, milliseconds ttl, TimePoint sent, TimePoint now) {
    if (record_sent_ && sent == *record_sent_) record_waits_ = false;
    switch (word) {
        case RecordWord::Nothing:
            return;
        case RecordWord::Renewed:
            return prolong(sent, ttl, MandateSource::Record);
        case RecordWord::Ends:
            if (!mutant("closing_ignored")) closed_ = now;
            return;
        case RecordWord::Rejected:
            rejected_ = !mutant("another_holder_ignored");
            return;
    }
}

void Mandate::member_said(std::uint64_t round, const PodUid& pod, bool promised) {
    if (!round_ || round_->number != round) return;
    if (!promised) {
        round_->over = true;
        return;
    }
    round_->missing.erase(pod);
    // A member that refused stays missing, so this round can't be completed by others.
    if (!round_->missing.empty() && !mutant("one_promise_is_enough")) return;
    round_->over = true;
    // `closed` ends this way, too.
    if (!closed_ || mutant("promises_count_while_closed"))
        prolong(round_->sent, seat_.ttl, MandateSource::Promises);
}

void Mandate::prolong(TimePoint from, Duration length, MandateSource source) {
    if (!granted_ || rejected_ || seat_.epoch <= seat_.fenced) return;
    if (from + length <= deadline_) return;
    from_ = from;
    deadline_ = from + length;
    source_ = source;
    if (source != MandateSource::Grant) hurry_ = false;
}

// --- asking -----------------------------------------------------------------------------------

bool Mandate::may_ask(TimePoint now) const {
    return seat_.serves && granted_ && !rejected_ && !closed_ && !alone() && holds(now);
}

TimePoint Mandate::half_time() const {
    return from_ + (deadline_ - from_) / 2;
}

milliseconds Mandate::patience() const {
    return std::max(seat_.ttl / 3, kLeastPatience);
}

std::optional<TimePoint> Mandate::next_record() const {
    if (!record_sent_) return {};
    return *record_sent_ + (record_waits_ ? Duration(patience()) : kAskEvery);
}

std::optional<TimePoint> Mandate::next_round() const {
    if (!round_) return {};
    return round_->sent + (round_->over ? kAskEvery : Duration(patience()));
}

Mandate::Questions Mandate::ask(TimePoint now) {
    Questions out;
    if (!may_ask(now) || (!hurry_ && now < half_time())) return out;
    const auto due = [&](std::optional<TimePoint> at) { return !at || now >= *at; };
    if (due(next_record())) {
        out.record = record_waits_ = true;
        record_sent_ = now;
    }
    if (seat_.candidates.known() && due(next_round())) {
        round_ = Round{++last_round_, now, {}, false};
        for (const auto& member : seat_.candidates.members) round_->missing.insert(member.pod);
        out.round = last_round_;
    }
    return out;
}

// --- what is held -----------------------------------------------------------------------------

bool Mandate::alone() const {
    return seat_.candidates.known() && seat_.candidates.members.empty() &&
           seat_.epoch > seat_.fenced;
}

bool Mandate::holds(TimePoint now) const {
    return alone() || (!rejected_ && seat_.epoch > seat_.fenced && now < fence_at());
}

TimePoint Mandate::deadline() const {
    if (alone() || mutant("mandate_never_ends")) return TimePoint::max();
    return rejected_ ? TimePoint() : deadline_;
}

TimePoint Mandate::fence_at() const {
    if (alone()) return TimePoint::max();
    return deadline() - std::min<Duration>(kFenceLead, seat_.ttl / 10);
}

MandateSource Mandate::source() const {
    return alone() ? MandateSource::Alone : source_;
}

milliseconds Mandate::left(TimePoint now) const {
    if (alone() || !holds(now)) return milliseconds(0);
    return std::chrono::duration_cast<milliseconds>(deadline() - now);
}

bool Mandate::renewed_since(TimePoint when) const {
    return alone() || (from_ >= when &&
                       (source_ == MandateSource::Record || source_ == MandateSource::Promises));
}

TimePoint Mandate::wake(TimePoint now) const {
    if (alone() || !holds(now)) return TimePoint::max();
    TimePoint at = fence_at();
    if (!may_ask(now)) return at;
    if (!hurry_ && now < half_time()) return std::min(at, half_time());
    for (const auto& next : {next_record(), next_round()})
        if (next) at = std::min(at, *next);
    return at;
}

}  // namespace matriarch::agent
