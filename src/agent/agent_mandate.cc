// Agent's mandate: grants taken, ways 2 and 3 asked, promises made, and what happens when it is
// over.
#include <algorithm>

#include "agent/agent.h"
#include "base/mutant.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

Duration remaining(TimePoint until, TimePoint now) {
    return std::max(Duration::zero(), until - now);
}

// Four polls are missed in so long a time; sooner where the mandate is short, since it must still
// be prolonged after that.
constexpr Duration kAway = seconds(2);

}  // namespace

// --- polls and grants -------------------------------------------------------------------------

// A former leader's poll is answered and otherwise without effect (INV-2).
void Agent::hear(const Poll& poll) {
    const bool ours = poll.incarnation == incarnation_;
    if (poll.term < state_.term) return;
    if (poll.term > state_.term && state_trouble_.empty()) {
        State next = state_;
        next.term = poll.term;
        if (!save(std::move(next), "the term")) return;
    }
    last_poll_ = clock_.now();
    if (!ours) return;
    delivered_ = std::max(delivered_, poll.seen);
    if (!poll.grant) return;
    take(*poll.grant);
    step();
}

void Agent::take(const Grant& grant) {
    if (!state_trouble_.empty()) return;
    const bool this_epoch = grant.epoch == state_.epoch && grant.epoch_id == state_.epoch_id;
    State next = state_;
    next.ttl = std::max(next.ttl, grant.ttl);
    // A set that comes too late to be asked would end a mandate that needs nobody's word.
    const bool lasts = TimePoint(grant.reading) + grant.ttl > clock_.now();
    if (this_epoch && lasts && grant.candidates.version > next.candidates.version)
        next.candidates = grant.candidates;
    // The mandate counts anyhow; the set counts, and is shown, once it is on disk.
    if (next != state_) (void)save(std::move(next), "the candidate set");
    mandate_.sit(seat());
    const auto why = mandate_.take(grant, clock_.now());
    say_once(grant_trouble_, "a grant counts for nothing", why.value_or(""));
}

// These come several times a second.
void Agent::say_once(std::string& last, const char* what, const std::string& why) const {
    if (!why.empty() && why != last) log::warn(what, {{"why", why}, {"epoch", state_.epoch}});
    last = why;
}

bool Agent::save(State next, const char* what) {
    if (next == state_) return true;
    if (auto saved = store_.save(next); !saved) {
        log::error(std::string(what) + " can't be stored", saved.error());
        return false;
    }
    state_ = std::move(next);
    return true;
}

// --- the mandate ------------------------------------------------------------------------------

// It acknowledges writes, or may begin to at any moment.
bool Agent::as_master() const {
    if (v_.run == Run::Off) return false;
    return v_.role == Role::Master || promotion_triggered_ ||
           (v_.server && !v_.server->in_recovery);
}

Seat Agent::seat() const {
    Seat s;
    s.epoch = state_.epoch;
    s.epoch_id = state_.epoch_id;
    s.fenced = state_.fenced;
    s.candidates = state_.candidates;
    s.ttl = state_.ttl;
    s.serves = own_start_ || (v_.run == Run::Up && v_.server && !v_.server->in_recovery);
    return s;
}

Claim Agent::claim() const {
    return {settings_.layout.instance, settings_.pod, state_.epoch, state_.epoch_id};
}

bool Agent::may_serve() const {
    if (mutant("lead_without_mandate")) return true;
    return state_trouble_.empty() && state_.epoch > state_.fenced && mandate_.holds(clock_.now());
}

// Before each decision: who may serve, whom to ask, and by when all must be dead.
void Agent::keep_mandate() {
    mandate_.sit(seat());
    if (as_master()) {
        if (may_serve())
            run_epoch_ = state_.epoch;
        else
            lose();
    } else if (v_.run == Run::Off && !v_.processes_left && state_.fenced >= v_.lost) {
        v_.lost = Epoch();
    }
    tend_own_start();
    v_.may_serve = may_serve() && (!own_start_ || mandate_.renewed_since(*own_start_));
    v_.epoch = state_.epoch;
    ask_ways();
    guard_.dead_by(as_master() ? mandate_.deadline() : TimePoint::max());
}

TimePoint Agent::mandate_wake() const {
    const TimePoint at = mandate_.wake(clock_.now());
    return may_start_itself() ? std::min(at, operator_away_at()) : at;
}

// The time is taken here: an own start counts only what was asked after it began.
void Agent::ask_ways() {
    const TimePoint now = clock_.now();
    if (as_master() && expected_ != state_.candidates) {
        expected_ = state_.candidates;
        ways_.expect(expected_.members);
    }
    mandate_.sit(seat());
    const auto questions = mandate_.ask(now);
    const Deadline deadline{now + mandate_.patience()};
    if (questions.record) ways_.renew_record(claim(), now, deadline);
    if (!questions.round) return;
    PromiseRequest request;
    request.holder = settings_.layout.instance;
    request.holder_pod = settings_.pod;
    request.epoch = state_.epoch;
    request.epoch_id = state_.epoch_id;
    request.ttl = state_.ttl;
    request.round = *questions.round;
    ways_.ask_promises(request, state_.candidates.members, deadline);
}

void Agent::lose() {
    if (v_.lost.value != 0) return;
    v_.lost = run_epoch_.value != 0 ? run_epoch_ : state_.epoch;
    mandate_trouble_ = mandate_.rejected() ? "the record names another master"
                                           : "the mandate ran out: neither the operator nor the "
                                             "record nor all slaves prolonged it";
    log::warn("the mandate is over", {{"epoch", v_.lost}, {"why", mandate_trouble_}});
    if (!goal_ || !makes_master(goal_->order.kind) || goal_->order.epoch > v_.lost) return;
    goal_.reset();
    progress_.state = OrderState::Failed;
    progress_.message = mandate_trouble_;
}

// --- the bounded start ------------------------------------------------------------------------

TimePoint Agent::operator_away_at() const {
    if (!last_poll_) return TimePoint();
    return *last_poll_ + std::min<Duration>(kAway, state_.ttl * 2 / 3);
}

// A serving master's postmaster died. Alone there is nobody else to serve, and nobody to ask.
void Agent::master_died() {
    if (run_epoch_ != state_.epoch || v_.ending) return;
    died_ = state_.epoch;
    if (mandate_.alone()) start_by_itself();
}

// Once in an epoch, while its mandate lasts.
bool Agent::may_start_itself() const {
    return died_.value != 0 && died_ == state_.epoch && started_itself_ != state_.epoch && !goal_ &&
           !own_start_ && v_.run == Run::Off && !v_.ending && may_serve();
}

void Agent::tend_own_start() {
    const bool away = clock_.now() >= operator_away_at();
    if (may_start_itself() && away) start_by_itself();
    if (!own_start_) return;
    if (v_.run == Run::Up) {
        own_start_.reset();
    } else if (v_.run == Run::Off && !mandate_.alone() && (!away || !may_serve())) {
        // The operator is back and decides, or nobody prolonged the mandate.
        log::info("gives up its own start");
        own_start_.reset();
        goal_.reset();
    }
}

void Agent::start_by_itself() {
    log::warn("starts PostgreSQL as master by itself",
              {{"epoch", state_.epoch}, {"alone", mandate_.alone()}});
    started_itself_ = state_.epoch;
    died_ = Epoch();
    own_start_ = clock_.now();
    mandate_.hurry();
    Order order;
    order.kind = OrderKind::Lead;
    order.epoch = state_.epoch;
    order.epoch_id = state_.epoch_id;
    goal_ = Goal{std::move(order), clock_.now()};
}

// --- answers ----------------------------------------------------------------------------------

void Agent::on_event(RecordAnswered& event) {
    if (event.claim != claim()) return;
    say_once(record_trouble_, "the record is not renewed", event.why);
    mandate_.record_said(event.word, event.ttl, event.sent, clock_.now());
}

void Agent::on_event(PromiseAnswered& event) {
    const auto& answer = event.answer;
    // Another pod under the same name is not the member that was asked.
    const bool promised = answer.promised && answer.pod == event.member.pod;
    if (!promised)
        say_once(promise_trouble_, "no promise",
                 event.member.instance.value + ": " + answer.reason);
    mandate_.member_said(answer.round, event.member.pod, promised);
}

// --- promises ---------------------------------------------------------------------------------

std::optional<std::string> Agent::no_promise(const PromiseRequest& request,
                                             const std::string& asker) const {
    if (asker != request.holder.value) return "the certificate is " + asker + "'s";
    if (!state_trouble_.empty()) return "the stored state is unusable";
    const auto epoch = std::to_string(state_.epoch.value);
    if (request.epoch < state_.epoch) return "epoch " + epoch + " is known";
    if (request.epoch == state_.epoch && request.epoch_id != state_.epoch_id)
        return "epoch " + epoch + " has id " + state_.epoch_id.value + " here";
    if (request.epoch <= withheld_ && !mutant("promises_while_withheld"))
        return "a promotion is being prepared";
    const bool leads = goal_ && makes_master(goal_->order.kind);
    if (as_master() || leads) return "it is no slave";
    return {};
}

// For expiry_wait() from now on no promotion after an expiry is accepted.
PromiseAnswer Agent::promise(const PromiseRequest& request, const std::string& asker) {
    PromiseAnswer answer;
    answer.pod = settings_.pod;
    answer.epoch = state_.epoch;
    answer.round = request.round;
    if (auto why = no_promise(request, asker)) {
        answer.reason = std::move(*why);
        return answer;
    }
    // On disk first: after a restart the agent waits as long as it may have promised.
    State next = state_;
    next.ttl = std::max(next.ttl, request.ttl);
    if (!save(std::move(next), "the promise")) {
        answer.reason = "the promise can't be stored";
        return answer;
    }
    const Duration wait =
        mutant("promise_as_long_as_mandate") ? state_.ttl : expiry_wait(state_.ttl);
    promised_until_ = std::max(promised_until_, clock_.now() + wait);
    answer.promised = true;
    return answer;
}

milliseconds Agent::promised_left() const {
    return std::chrono::ceil<milliseconds>(remaining(promised_until_, clock_.now()));
}

void Agent::fill_mandate(Report& r) const {
    if (as_master() || mandate_.holds(clock_.now())) {
        r.mandate = mandate_.source();
        r.mandate_left = mandate_.left(clock_.now());
    }
    r.ttl = state_.ttl;
    r.candidates_version = state_.candidates.version;
    r.promised = promised_left();
    r.withheld = withheld_;
}

}  // namespace matriarch::agent
