// Agent's events: what ended, what a job found, what the server says.
#include <algorithm>
#include <utility>

#include "agent/agent.h"
#include "agent/rejoin.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

constexpr Duration kSlotsEvery = seconds(5);
constexpr Duration kRetrySide = seconds(1);
// Every process reads a changed setting for itself, all within milliseconds. So long after a reload
// none is left that releases commits by the former one.
constexpr Duration kAllHaveLoaded = milliseconds(100);
// A promotion's own checkpoint takes minutes, and until it is done pg_rewind can't use us as a
// source. The clients that waited for the new master go first.
constexpr Duration kCheckpointAfter = seconds(1);
constexpr Duration kMeasureEvery = seconds(5);
constexpr Duration kMeasureFull = seconds(1);  // while it is full

}  // namespace

void Agent::on(Event event) {
    std::visit([this](auto& e) { on_event(e); }, event);
    step();
}

void Agent::tick() {
    step();
}

void Agent::on_event(PostmasterEnded& event) {
    if (event.generation != generation_) return;
    const bool asked = v_.run == Run::Stopping || killing_;
    was_master_ = v_.role == Role::Master || (v_.server && !v_.server->in_recovery);
    const bool never_up = v_.run == Run::Starting;
    // The warden was faster: this process was frozen, or late.
    if (!asked && as_master() && !may_serve()) lose();
    end_of_last_run_ = event.how;
    log::info("the postmaster ended", {{"how", event.how}, {"asked", asked}});
    const bool had_goal = goal_.has_value();
    ended_in_kill_ = killing_;
    postgres_is_off();
    if (asked) return;
    dead_ = true;
    if (was_master_ || (goal_ && !resumes(goal_->order.kind))) {
        // Never again as master without an order: see design, Processes.
        if (goal_ && goal_->order.kind != OrderKind::Fence) goal_.reset();
        if (had_goal && !goal_) progress_ = OrderProgress{};
    }
    if (was_master_) master_died();
    if (!was_master_ && never_up) ++v_.failed_starts;
    if ((!was_master_ || mandate_.alone()) && never_up)
        note_failure("PostgreSQL ended at once (" + event.how + ")");
}

void Agent::on_event(AllGone&) {
    if (killing_)
        log::info("every PostgreSQL process is gone", {{"took", clock_.now() - killing_since_}});
    killing_ = false;
    // With the postmaster known to have ended, what was looked at since is true: no server process
    // was left then.
    if (ended_in_kill_)
        v_.processes_left = instance_.processes_left();
    else
        postgres_is_off();
}

void Agent::postgres_is_off() {
    // Its slave's data went through whatever it went through: look again, with what was known.
    if (v_.server && v_.server->flushed.known()) last_flush_ = v_.server->flushed;
    v_.run = Run::Off;
    v_.run_since = clock_.now();
    v_.processes_left = instance_.processes_left();
    v_.server.reset();
    v_.data_fresh = false;
    v_.promoting = promotion_triggered_ = false;
    v_.reserved = false;
    v_.shut_down.reset();
    v_.sampled_after_conf = false;
    v_.reconciled = false;
    last_sample_.reset();
    checkpoint_due_.reset();
    silent_since_.reset();
    replay_lag_.restart();
    replay_waits_since_.reset();
    sync_in_force_.reset();
    instance_.pace(Pace::Normal);
}

void Agent::on_event(JobProgress& event) {
    if (event.id == main_job_) job_text_ = std::move(event.text);
}

void Agent::on_event(JobEnded& event) {
    if (event.id == main_job_) return main_job_ended(event);
    const auto is = [&](const std::optional<SideJob>& job) { return job && job->id == event.id; };
    if (is(validating_)) {
        validating_.reset();
        auto* troubles =
            event.output ? std::get_if<std::vector<ParameterTrouble>>(&*event.output) : nullptr;
        if (troubles == nullptr) {
            parameter_troubles_ = {
                {"", event.output ? "not checked" : event.output.error().message()}};
        } else {
            parameter_troubles_ = *troubles;
        }
        // Not checked: the operator sends it again.
        if (troubles == nullptr) {
            candidate_.reset();
            return;
        }
        const bool fatal = std::any_of(
            parameter_troubles_.begin(), parameter_troubles_.end(),
            [](const ParameterTrouble& t) { return !postgres::owned_parameter(t.name); });
        if (fatal) {
            refused_config_ = candidate_->hash();
            log::warn("the configuration is refused",
                      {{"parameter", parameter_troubles_.front().name},
                       {"why", parameter_troubles_.front().message}});
        } else {
            refused_config_.clear();
            state_.config = std::move(candidate_);
            if (auto saved = store_.save(state_); !saved)
                log::error("the configuration can't be stored", saved.error());
            v_.has_config = true;
            v_.reconciled = false;
            slots_due_ = reconcile_due_ = TimePoint();
        }
        candidate_.reset();
    } else if (is(reconciling_)) {
        const bool current = state_.config && reconciling_->config_hash == state_.config->hash();
        reconciling_.reset();
        side_trouble_.clear();
        if (event.output) {
            v_.reconciled = current && v_.run == Run::Up;
        } else {
            side_trouble_ = event.output.error().message();
            reconcile_due_ = clock_.now() + kRetrySide;
            if (goal_ && goal_->order.kind == OrderKind::Initialize)
                v_.last_failure = side_trouble_;
        }
    } else if (is(slots_)) {
        slots_.reset();
        slots_due_ = clock_.now() + (event.output ? kSlotsEvery : kRetrySide);
        if (!event.output) log::warn("slots", event.output.error());
    } else if (is(measuring_)) {
        measuring_.reset();
        measure_due_ = clock_.now() + kMeasureEvery;
        if (const auto* facts = event.output ? std::get_if<VolumeFacts>(&*event.output) : nullptr)
            take_volume(*facts);
    } else if (is(checkpoint_)) {
        checkpoint_.reset();
        if (!event.output) log::warn("checkpoint", event.output.error());
    }
}

void Agent::take_volume(const VolumeFacts& facts) {
    volume_ = facts;
    const int segment = state_.config ? state_.config->wal_segment_size_mb : 16;
    const bool full =
        volume_.size.value > 0 && volume_.free.value < static_cast<std::uint64_t>(segment) << 20;
    if (!full)
        full_since_.reset();
    else if (!full_since_)
        full_since_ = clock_.now();
    measure_due_ = clock_.now() + (full ? kMeasureFull : kMeasureEvery);
}

void Agent::main_job_ended(JobEnded& event) {
    const auto kind = v_.job;
    main_job_ = 0;
    v_.job.reset();
    job_text_.clear();
    const bool changed_volume = main_job_is_work_;
    main_job_is_work_ = false;
    if (!event.output) {
        if (event.output.error().kind != ErrorKind::Cancelled) {
            note_failure(event.output.error().message());
            log::warn("a job failed", event.output.error());
        }
        if (changed_volume) v_.data_fresh = false;
        // A stop without one takes longer, that is all.
        if (kind == job_index<CheckpointJob>()) v_.checkpointed = true;
        // An end that can't be searched for must not hold up a fence.
        if (kind == job_index<InspectJob>()) {
            v_.data_fresh = true;
            v_.data.end_searched = true;
            v_.data.kind = DataFacts::Kind::Broken;
            v_.data.trouble = event.output.error().message();
            knows_volume_ = true;
        }
        return;
    }
    auto& output = *event.output;
    if (auto* data = std::get_if<DataFacts>(&output)) {
        knows_volume_ = true;
        if (v_.run == Run::Off) {
            v_.data = std::move(*data);
            v_.data_fresh = true;
            v_.initialized_here =
                !state_.initialized_for.empty() && state_.initialized_for == state_.epoch_id;
            log::info("looked at the volume", {{"system_identifier", v_.data.system_identifier},
                                               {"timeline", v_.data.timeline},
                                               {"standby", v_.data.standby},
                                               {"clean", v_.data.clean_shutdown},
                                               {"end_of_wal", v_.data.end_of_wal.str()}});
            if (!v_.data.trouble.empty())
                log::warn("the data can't be used as it is", {{"why", v_.data.trouble}});
        }
        return;
    }
    v_.failures = 0;
    if (kind == job_index<CheckpointJob>()) v_.checkpointed = true;
    v_.last_failure.clear();
    if (auto* upstream = std::get_if<postgres::UpstreamFacts>(&output))
        return take_upstream(*upstream);
    if (changed_volume) {
        v_.data_fresh = false;
        v_.must_check = false;
    }
    // A copy of the upstream's data, of which the order knows the timeline.
    if (changed_volume) {
        State next = state_;
        next.opening = goal_ ? goal_->order.opening : Opening();
        next.promotes = EpochId();
        (void)save(std::move(next), "whose data it is");
    }
    const auto* diverged = std::get_if<Bytes>(&output);
    if (kind == job_index<CloneJob>()) {
        v_.recloned = v_.failed_starts > 0;
        // In place of a rewind that was cut: what that had counted stays true.
        const bool counted = diverged && !v_.data.standby;
        note_rejoined(counted ? RejoinedBy::Rewind : RejoinedBy::Clone,
                      counted ? *diverged : Bytes(0));
    }
    if (const auto* end = std::get_if<Lsn>(&output)) v_.rescued = *end;
    if (diverged && kind == job_index<RewindJob>()) {
        v_.rewound = *diverged;
        // What a slave had too much is no word about what it once lost as master.
        if (!v_.data.standby) note_rejoined(RejoinedBy::Rewind, *diverged);
    }
}

void Agent::take_upstream(const postgres::UpstreamFacts& facts) {
    v_.upstream = facts;
    v_.upstream_at = clock_.now();
    if (v_.run != Run::Up || !v_.server) return;
    // Asked because nothing streams: has our WAL left the upstream's history?
    v_.conf_since = clock_.now();
    DataFacts own = v_.data;
    own.kind = DataFacts::Kind::Complete;
    own.timeline = v_.server->timeline;
    own.history = instance_.history(own.timeline);
    own.end_of_wal = std::max(v_.server->received, v_.server->replayed);
    const bool misled =
        followed_ && number_misleads(own, state_.opening, opened_by(own.timeline), *followed_);
    const Rejoin rejoin = choose_rung(own, facts, misled);
    v_.must_check = rejoin.rung == Rejoin::Rung::Rewind || rejoin.rung == Rejoin::Rung::Clone;
    v_.last_failure = v_.must_check ? rejoin.why : "the upstream answers but does not stream";
}

void Agent::on_event(Knocked& event) {
    if (event.generation != generation_ || v_.run == Run::Off) return;
    silent_since_ = event.silent_since;
    log::warn(silent_since_ ? "the postmaster does not answer" : "the postmaster answers again");
}

void Agent::on_event(Probed& event) {
    if (event.generation != generation_ || v_.run == Run::Off) return;
    if (!event.status) return;
    const TimePoint now = clock_.now();
    auto& status = *event.status;
    last_sample_ = event.asked_at;
    answered_in_ = event.took;
    if (v_.run == Run::Starting) {
        v_.run = Run::Up;
        v_.failed_starts = 0;
        v_.recloned = false;
        dead_ = false;
        v_.failures = 0;
        v_.last_failure.clear();
        slots_due_ = now;
        log::info("accepts connections",
                  {{"in_recovery", status.in_recovery}, {"took", now - v_.run_since}});
    }
    if (status.timeline.value == 0) status.timeline = last_timeline_;
    if (status.timeline != last_timeline_ || v_.data.timeline != status.timeline) {
        last_timeline_ = status.timeline;
        v_.data.timeline = status.timeline;
        v_.data.history = instance_.history(status.timeline);
    }
    if (v_.server && v_.server->in_recovery && !status.in_recovery) {
        log::info("left recovery",
                  {{"timeline", status.timeline}, {"took", now - v_.promoting_since}});
        instance_.pace(Pace::Normal);
        if (v_.promoting) v_.role = Role::Master;
        slots_due_ = now;
        checkpoint_due_ = now + kCheckpointAfter;
    }
    if (status.in_recovery) note_replay(status, now);
    const Lsn flush =
        status.in_recovery ? std::max(status.received, status.replayed) : status.flushed;
    if (flush.known() && flush != last_flush_) {
        last_flush_ = flush;
        instance_.remember_flush(status.timeline, flush);
    }
    v_.sampled_after_conf = event.asked_at >= v_.conf_since;
    v_.server = std::move(status);
    note_sync(event.asked_at);
    note_opening();
}

// Nobody: a promotion by hand, or not known.
EpochId Agent::opened_by(Timeline timeline) const {
    if (timeline == state_.opening.timeline) return state_.opening.by;
    const bool promoted = v_.run == Run::Off ? v_.data_fresh && !v_.data.standby
                                             : v_.server && !v_.server->in_recovery;
    return promoted && timeline > state_.opening.timeline ? state_.promotes : EpochId();
}

// A new timeline on disk: it came from the upstream, or an order of this epoch opened it.
void Agent::note_opening() {
    const Timeline timeline = v_.server->timeline;
    if (timeline.value == 0 || timeline == state_.opening.timeline) return;
    EpochId by;
    if (!v_.server->in_recovery) {
        const bool leads = goal_ && makes_master(goal_->order.kind);
        if (leads) by = goal_->order.kind == OrderKind::Promote ? state_.promotes : state_.epoch_id;
    } else if (followed_ &&
               (v_.server->receiving || (goal_ && goal_->order.kind == OrderKind::Halt))) {
        const Opening& theirs = followed_->opening;
        if (timeline == theirs.timeline) by = theirs.by;
        if (timeline > theirs.timeline) by = followed_->epoch_id;
    }
    if (by.empty()) return;
    State next = state_;
    next.opening = {timeline, by};
    next.promotes = EpochId();
    (void)save(std::move(next), "who opened the timeline");
}

void Agent::note_replay(const postgres::ServerStatus& s, TimePoint now) {
    replay_lag_.sample(
        {s.receiving, std::max(s.received, s.upstream_end), s.replayed, s.commit_age}, now);
    if (!s.replay_waits)
        replay_waits_since_.reset();
    else if (!replay_waits_since_)
        replay_waits_since_ = now;
}

void Agent::note_sync(TimePoint asked_at) {
    const auto& server = *v_.server;
    if (server.synchronous_standby_names != synchronous_standby_names(state_.sync)) {
        sync_in_force_.reset();
        return;
    }
    const Lsn since = server.in_recovery ? Lsn() : server.flushed;
    const bool noted = sync_in_force_ && sync_in_force_->rule == state_.sync &&
                       sync_in_force_->timeline == server.timeline &&
                       sync_in_force_->since.known() == since.known();
    if (!noted && asked_at >= v_.conf_since + kAllHaveLoaded)
        sync_in_force_ = {state_.sync, server.timeline, since};
}

}  // namespace matriarch::agent
