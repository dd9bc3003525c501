// Agent's word to the operator: the report, and when its sequence rises.
#include <algorithm>

#include "agent/agent.h"
#include "agent/vitals.h"

namespace matriarch::agent {
namespace {

constexpr Duration kSampleStale = seconds(2);

// What is worth an answer at once: everything but clocks, positions and figures.
Report essence(Report r) {
    r.sequence = 0;
    r.clock_reading = milliseconds(0);
    r.written = r.flushed = r.received = r.replayed = Lsn();
    r.lag = r.conflict = milliseconds(0);
    r.memory = r.volume_free = r.wal_size = Bytes();
    r.transactions = 0;
    r.answered_in = {};
    r.mandate_left = r.promised = r.stream_age = milliseconds(0);
    for (auto& stream : r.streams) stream.sent = stream.flush = stream.replay = Lsn();
    for (auto& slot : r.slots) slot.restart = Lsn();
    r.frozen = milliseconds(r.frozen >= kFrozenIsNews);
    r.disk_stalled = milliseconds(r.disk_stalled >= kStallIsNews);
    r.volume_full = milliseconds(r.volume_full >= kFullIsNews);
    // Clone progress counts megabytes.
    if (r.order.state == OrderState::Working) r.order.message.clear();
    return r;
}

}  // namespace

PostgresState Agent::postgres_state() const {
    const auto job = v_.job.value_or(std::variant_npos);
    if (main_job_is_work_ && job != std::variant_npos) return PostgresState::Cloning;
    if (killing_ && !dead_) return PostgresState::Stopping;
    switch (v_.run) {
        case Run::Starting:
            return PostgresState::Starting;
        case Run::Up:
            return PostgresState::Running;
        case Run::Stopping:
            return PostgresState::Stopping;
        case Run::Off:
            break;
    }
    if (dead_) return PostgresState::Dead;
    if (v_.processes_left) return PostgresState::Stopping;
    switch (v_.data.kind) {
        case DataFacts::Kind::None:
            return PostgresState::NoData;
        case DataFacts::Kind::Broken:
            return PostgresState::Broken;
        case DataFacts::Kind::Complete:
            return PostgresState::Stopped;
    }
    return PostgresState::Stopped;
}

void Agent::fill_vitals(Report& r) const {
    const auto age = [now = clock_.now()](const std::optional<TimePoint>& since) {
        return since && *since < now ? std::chrono::duration_cast<milliseconds>(now - *since)
                                     : milliseconds(0);
    };
    r.disk_stalled = age(instance_.disk_stalled_since());
    r.volume_full = age(full_since_);
    if (v_.run != Run::Off) r.frozen = age(silent_since_);
}

// They become news by time alone.
void Agent::watch_vitals() {
    instance_.watch_disk(as_master());
    const TimePoint now = clock_.now();
    const auto news_at = [&](const std::optional<TimePoint>& since, Duration age) {
        if (since && now < *since + age) wake_ = std::min(wake_, *since + age);
    };
    news_at(silent_since_, kFrozenIsNews);
    if (as_master()) news_at(instance_.disk_stalled_since(), kStallIsNews);
    news_at(full_since_, kFullIsNews);
}

void Agent::fill_server(Report& r) const {
    if (!v_.server) return;
    const auto& s = *v_.server;
    const TimePoint now = clock_.now();
    r.written = s.written;
    r.flushed = s.flushed;
    r.received = s.received;
    r.replayed = s.replayed;
    r.receiving = s.in_recovery && s.receiving;
    if (r.receiving) {
        r.stream_age = s.stream_age;
        if (last_sample_)
            r.stream_age += std::chrono::duration_cast<milliseconds>(now - *last_sample_);
    }
    if (r.receiving && goal_ && goal_->order.upstream) r.upstream = goal_->order.upstream->instance;
    r.transactions = s.transactions;
    r.answered_in = answered_in_;
    r.streams = s.streams;
    r.slots = s.slots;
    r.restart_pending = s.restart_pending;
    r.server_version_num = s.version_num;
    if (sync_in_force_) {
        r.sync = sync_in_force_->rule;
        r.sync_since = sync_in_force_->since;
    }
    if (s.in_recovery) {
        r.lag = replay_lag_.at(now);
        if (replay_waits_since_)
            r.conflict = std::chrono::duration_cast<milliseconds>(now - *replay_waits_since_);
    }
    const bool sampled = last_sample_ && now - *last_sample_ < kSampleStale;
    if (!sampled) return;
    r.in_recovery = s.in_recovery ? Known::Yes : Known::No;
    r.writable = !s.in_recovery && !s.read_only_default ? Known::Yes : Known::No;
}

Report Agent::report() const {
    Report r;
    r.sequence = sequence_;
    r.agent_version = settings_.version;
    r.instance = settings_.layout.instance;
    r.pod = settings_.pod;
    r.incarnation = incarnation_;
    r.clock_reading = std::chrono::duration_cast<milliseconds>(clock_.now().time_since_epoch());
    r.term = state_.term;
    r.epoch = state_.epoch;
    r.epoch_id = state_.epoch_id;
    r.fenced = state_.fenced;
    r.fenced_by = state_.fenced_by;
    fill_mandate(r);
    r.state = postgres_state();
    const bool off = v_.run == Run::Off && !v_.processes_left && !killing_;
    // With the end of the WAL, which the next master's rescue needs.
    r.fence_confirmed = off && state_.fenced.value > 0 && state_.fenced >= state_.epoch &&
                        v_.data_fresh &&
                        (v_.data.end_searched || v_.data.kind == DataFacts::Kind::None);
    r.system_identifier = v_.data.system_identifier;
    r.timeline = v_.data.timeline;
    r.timeline_opened_by = opened_by(v_.data.timeline);
    r.history = v_.data.history;
    r.clean_shutdown = off && v_.data_fresh && v_.data.clean_shutdown;
    r.standby = off && v_.data_fresh && v_.data.standby;
    if (off && v_.data_fresh) r.end_of_wal = v_.data.end_of_wal;
    r.volume_size = volume_.size;
    r.volume_free = volume_.free;
    r.wal_size = volume_.wal;
    r.rejoined = state_.rejoined;
    fill_server(r);
    fill_vitals(r);
    r.order = progress_;
    r.config_hash = config_hash();
    r.parameter_troubles = parameter_troubles_;
    r.memory = memory_;
    if (!state_trouble_.empty())
        r.trouble = state_trouble_;
    else if (!mandate_trouble_.empty())
        r.trouble = mandate_trouble_;
    else if (dead_)
        r.trouble = "PostgreSQL ended by itself (" + end_of_last_run_ + ")";
    else if (v_.data.kind == DataFacts::Kind::Broken && v_.run == Run::Off)
        r.trouble = v_.data.trouble;
    else if (!v_.last_failure.empty())
        r.trouble = v_.last_failure;
    else
        r.trouble = side_trouble_;
    return r;
}

void Agent::publish() {
    Report now = essence(report());
    if (sequence_ != 0 && now == published_) return;
    published_ = std::move(now);
    ++sequence_;
    if (on_change_) on_change_();
}

}  // namespace matriarch::agent
