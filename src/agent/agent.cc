#include "agent/agent.h"

#include <algorithm>
#include <utility>

#include "base/memory.h"
#include "base/mutant.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

constexpr int kStepLimit = 16;  // a decision leads to another at most so often at one moment

bool is_of(const Incarnation& incarnation, const PodUid& pod) {
    return incarnation.value.starts_with(pod.value + "/");
}

}  // namespace

bool resumes(OrderKind kind) {
    return kind == OrderKind::Follow || kind == OrderKind::Halt || kind == OrderKind::Fence;
}

Agent::Agent(Settings settings, const Clock& clock, Random& random, StateStore& store,
             Instance& instance, Ways& ways, Guard& guard)
    : settings_(std::move(settings)),
      clock_(clock),
      store_(store),
      instance_(instance),
      ways_(ways),
      guard_(guard),
      slot_(slot_name(settings_.layout.instance)),
      incarnation_(settings_.pod.value + "/" + random.hex(6)) {}

void Agent::begin() {
    auto stored = store_.load();
    if (stored) {
        state_ = std::move(*stored);
    } else {
        state_trouble_ = stored.error().message();
        log::error("the stored state is unusable", stored.error());
    }
    if (mutant("fence_forgotten")) state_.fenced = Epoch();
    if (mutant("epoch_forgotten")) state_.epoch = Epoch();
    v_.grace = settings_.grace;
    v_.has_config = state_.config.has_value();
    v_.fenced = state_.fenced;
    v_.epoch = state_.epoch;
    // What was promised before it started is forgotten, so anything may have been.
    if (state_.ttl.count() > 0 && !mutant("promise_forgotten"))
        promised_until_ = clock_.now() + expiry_wait(state_.ttl);
    if (state_.goal && resumes(state_.goal->kind)) {
        goal_ = Goal{*state_.goal, clock_.now()};
        if (goal_->order.kind == OrderKind::Follow) followed_ = goal_->order;
        // The operator gives its orders anew to a new incarnation; until then this one is nobody's.
        goal_->order.id = OrderId();
        if (goal_->order.withhold) withheld_ = goal_->order.epoch;
        log::info("takes up the stored goal", {{"goal", to_string(goal_->order.kind)}});
    }
    mandate_.sit(seat());
    // A cluster of one needs nobody's word to go on, where it was told to lead: in another pod it
    // can't know whether the former one still runs, nor what was decided since.
    const bool led_here = state_.goal && makes_master(state_.goal->kind) &&
                          is_of(state_.goal->incarnation, settings_.pod);
    if (led_here && mandate_.alone()) start_by_itself();
    main_job_ = begin_job(InspectJob{});
    v_.job = job_index<InspectJob>();
    publish();
}

// --- deciding and doing ---------------------------------------------------------------------

// What the files should say; `starts_as`: of a server that is off and starts now.
postgres::ServerConfig Agent::wanted_server(std::optional<Role> starts_as) const {
    postgres::ServerConfig wanted =
        wanted_server_config(v_, goal_, settings_.layout, written_server_);
    if (starts_as && wanted.role != *starts_as) {
        // A promotion that begins with a start as slave, or a start without a goal.
        wanted.role = *starts_as;
        wanted.read_only = *starts_as == Role::Slave;
        if (*starts_as == Role::Master) wanted.primary_conninfo = wanted.primary_slot_name = "";
    }
    wanted.synchronous_standby_names = synchronous_standby_names(state_.sync);
    if (mutant("commits_wait_for_nobody")) wanted.synchronous_standby_names.clear();
    return wanted;
}

ConfigFiles Agent::render(const postgres::ServerConfig& server) const {
    const InstanceConfig none;
    const InstanceConfig& config = state_.config ? *state_.config : none;
    return {postgres::render_postgresql_conf(settings_.layout, config, server),
            postgres::render_hba(settings_.layout, config),
            postgres::render_ident(settings_.layout)};
}

void Agent::wrote(postgres::ServerConfig server) {
    written_server_ = std::move(server);
    written_hash_ = config_hash();
}

const std::string& Agent::config_hash() const {
    if (hashed_ != state_.config) {
        hashed_ = state_.config;
        hash_ = hashed_ ? hashed_->hash() : "";
    }
    return hash_;
}

void Agent::refresh() {
    if (v_.run == Run::Off && !killing_) v_.processes_left = instance_.processes_left();
    if (v_.run == Run::Stopping) look_at_stop();
    v_.opening = state_.opening;
    v_.opened_by = opened_by(v_.data.timeline);
    v_.promoted_here = state_.promotes == state_.epoch_id || state_.opening.by == state_.epoch_id;
    // Asked at every step, so by what the files are made of.
    const auto wanted = wanted_server({});
    v_.conf_current = written_hash_ == config_hash() && written_server_ == wanted;
    v_.sync_loaded =
        v_.server && v_.server->synchronous_standby_names == wanted.synchronous_standby_names;
}

void Agent::look_at_stop() {
    if (!v_.shut_down && instance_.shut_down()) {
        v_.shut_down = clock_.now();
        log::info("PostgreSQL is shut down", {{"took", clock_.now() - v_.run_since}});
    }
    v_.confirmed.clear();
    v_.unconfirmed.clear();
    if (!v_.shut_down || !v_.server) return;
    // A sender ends when its slave has confirmed the last record. One that ends for another reason
    // is mistaken for that; then the heir still lacks WAL, and fetches it.
    for (const auto& sender : v_.server->senders)
        (instance_.alive(sender.pid) ? v_.unconfirmed : v_.confirmed).push_back(sender.slave);
}

void Agent::step() {
    if (!knows_volume_) return publish();
    for (int i = 0; i < kStepLimit; ++i) {
        refresh();
        keep_mandate();
        const Decision decision = think(v_, goal_, slot_, clock_.now());
        wake_ = std::min(decision.wake, mandate_wake());
        if (v_.restart || progress_.kind == OrderKind::Restart) {
            if (progress_.kind == OrderKind::Restart && progress_.state == OrderState::Working) {
                const bool back = !v_.restart && v_.run == Run::Up && v_.server;
                progress_.state = back ? OrderState::Done : OrderState::Working;
                progress_.message = back ? "" : decision.message;
            }
        } else if (goal_ && !goal_->order.id.empty() && !v_.ending) {
            progress_.state = decision.progress;
            progress_.message = job_text_.empty() ? decision.message : job_text_;
        }
        bool acted = false;
        for (const Action& action : decision.actions) acted = apply(action) || acted;
        if (!acted) break;
    }
    measure();
    upkeep();
    watch_vitals();
    if (v_.ending) end_as_master();
    publish();
}

// False: nothing changed, so thinking again at once would give the same.
bool Agent::apply(const Action& action) {
    using Kind = Action::Kind;
    switch (action.kind) {
        case Kind::KillAll:
            if (killing_) return false;
            log::warn("kills every PostgreSQL process", {{"why", action.why}});
            killing_ = true;
            ended_in_kill_ = false;
            killing_since_ = clock_.now();
            instance_.kill_all();
            return false;
        case Kind::StopFast:
            log::info("stops PostgreSQL", {{"why", action.why}});
            v_.run = Run::Stopping;
            v_.run_since = clock_.now();
            instance_.stop_fast();
            return true;
        case Kind::Start:
            return start(action.role);
        case Kind::Configure:
            return write_configuration();
        case Kind::Reserve: {
            const auto done =
                instance_.reserve_timelines(v_.server->timeline, goal_->order.reserved);
            if (!done) note_failure(done.error().message());
            v_.reserved = done.ok();
            return done.ok();
        }
        case Kind::Promote: {
            if (!may_serve()) return false;
            // On disk first: a promotion that this agent does not know of is one by hand.
            State next = state_;
            next.promotes = state_.epoch_id;
            if (!save(std::move(next), "the promotion")) return false;
            // Even a promotion that seems to fail may have been seen by the postmaster.
            promotion_triggered_ = true;
            run_epoch_ = state_.epoch;
            guard_.dead_by(mandate_.deadline());
            const auto done = instance_.promote();
            if (!done) {
                note_failure(done.error().message());
                return false;
            }
            v_.promoting = true;
            v_.promoting_since = clock_.now();
            instance_.pace(Pace::Promotion);
            return true;
        }
        case Kind::StoreFence:
            return store_fence(action.epoch);
        case Kind::CancelJob:
            return cancel_job();
        case Kind::Begin:
            break;
    }
    if (v_.job) return false;
    Job job = *action.job;
    if (auto* inspect = std::get_if<InspectJob>(&job)) inspect->hint = last_flush_;
    main_job_is_work_ = std::holds_alternative<InitializeJob>(job) ||
                        std::holds_alternative<CloneJob>(job) ||
                        std::holds_alternative<RewindJob>(job);
    log::info("begins", {{"job", name_of(job)}, {"why", action.why}});
    if (auto* initialize = std::get_if<InitializeJob>(&job); initialize && state_.config)
        initialize->config = *state_.config;
    v_.job = job.index();
    main_job_ = begin_job(std::move(job));
    return true;
}

// True: it is over at once.
bool Agent::cancel_job() {
    instance_.cancel(main_job_);
    if (v_.job != job_index<AskUpstreamJob>()) return false;
    // A question changes nothing, so nobody waits for its answer, which may take seconds.
    main_job_ = 0;
    v_.job.reset();
    job_text_.clear();
    return true;
}

bool Agent::start(Role role) {
    if (role == Role::Master) {
        if (!may_serve()) return false;
        run_epoch_ = state_.epoch;
        guard_.dead_by(mandate_.deadline());
    }
    postgres::ServerConfig server = wanted_server(role);
    auto started = instance_.start(role, render(server));
    if (!started) {
        note_failure(started.error().message());
        log::error("can't start PostgreSQL", started.error());
        return false;
    }
    // A master's data, all of it in the history of the one that it follows.
    const bool follows = role == Role::Slave && goal_ && goal_->order.kind == OrderKind::Follow;
    if (follows && !v_.data.standby) note_rejoined(RejoinedBy::Following, Bytes(0));
    wrote(std::move(server));
    generation_ = *started;
    v_.run = Run::Starting;
    v_.run_since = v_.conf_since = clock_.now();
    v_.role = role;
    v_.data.standby = role == Role::Slave;
    v_.data.end_of_wal = Lsn();
    v_.data.end_searched = false;
    v_.must_check = false;
    v_.data_fresh = false;
    v_.restart = false;
    mandate_trouble_.clear();
    log::info("starts PostgreSQL", {{"role", postgres::to_string(role)}, {"epoch", state_.epoch}});
    return true;
}

bool Agent::write_configuration() {
    postgres::ServerConfig server = wanted_server({});
    if (auto done = instance_.configure(render(server)); !done) {
        note_failure(done.error().message());
        return false;
    }
    wrote(std::move(server));
    v_.conf_since = clock_.now();
    v_.sampled_after_conf = false;
    return true;
}

bool Agent::store_fence(Epoch epoch) {
    State next = state_;
    next.fenced = std::max(next.fenced, epoch);
    next.fenced_by = settings_.pod;
    if (auto saved = store_.save_fence(next); !saved) {
        note_failure(saved.error().message());
        log::error("the fence can't be stored", saved.error());
        return false;
    }
    state_trouble_.clear();
    state_ = std::move(next);
    v_.fenced = state_.fenced;
    log::info("fenced", {{"epoch", epoch}});
    return true;
}

void Agent::note_failure(const std::string& message) {
    ++v_.failures;
    v_.last_failure = message;
    v_.not_before = clock_.now() + backoff(v_.failures);
    wake_ = std::min(wake_, v_.not_before);
}

JobId Agent::begin_job(Job job) {
    const JobId id = next_job_++;
    instance_.begin(id, std::move(job));
    return id;
}

std::optional<Upstream> Agent::streams_from() const {
    const bool streams = v_.server && v_.server->in_recovery && v_.server->receiving;
    return streams && goal_ ? goal_->order.upstream : std::nullopt;
}

// If not, the next step is not later than that.
bool Agent::is_due(TimePoint due) {
    if (clock_.now() >= due) return true;
    wake_ = std::min(wake_, due);
    return false;
}

// What a running server needs now and then, beside the goal.
void Agent::upkeep() {
    if (v_.run != Run::Up || !v_.server || !state_.config || v_.ending) return;
    const bool master = !v_.server->in_recovery && v_.role == Role::Master;
    if (master && !v_.reconciled && !reconciling_ && !v_.server->read_only_default &&
        is_due(reconcile_due_))
        reconciling_ = SideJob{begin_job(ReconcileJob{*state_.config}), state_.config->hash()};
    if (master && checkpoint_due_ && !checkpoint_ && is_due(*checkpoint_due_)) {
        checkpoint_due_.reset();
        checkpoint_ = SideJob{begin_job(CheckpointJob{}), ""};
    }
    if (!slots_ && !v_.promoting && is_due(slots_due_))
        slots_ = SideJob{begin_job(SlotsJob{state_.config->slots, streams_from()}), ""};
    if (!v_.server->in_recovery) v_.promoting = false;
}

// Also while nothing runs: a full volume may be the reason.
void Agent::measure() {
    if (measuring_ || v_.ending || !is_due(measure_due_)) return;
    memory_ = Bytes(resident_memory());
    measuring_ = SideJob{begin_job(MeasureJob{}), ""};
}

// Kept over a restart: the operator counts by it what a change of master lost.
void Agent::note_rejoined(RejoinedBy way, Bytes diverged) {
    State next = state_;
    next.rejoined = {way, state_.epoch, diverged};
    (void)save(std::move(next), "how it rejoined");
}

// --- the end --------------------------------------------------------------------------------

void Agent::end() {
    if (v_.ending) return;
    log::info("ends");
    v_.ending = true;
    v_.ending_since = clock_.now();
    was_master_ =
        v_.run != Run::Off && (v_.role == Role::Master || (v_.server && !v_.server->in_recovery));
    step();
}

// A master that stopped cleanly confirms its own fence, so that nobody has to wait for a proof.
void Agent::end_as_master() {
    const bool off = v_.run == Run::Off && !v_.processes_left && !killing_;
    if (!off || !was_master_) return;
    if (state_.fenced < state_.epoch && state_trouble_.empty() && !store_fence(state_.epoch))
        return;
    if (!linger_until_) {
        linger_until_ = clock_.now() + settings_.linger;
        if (!v_.job) {
            v_.job = job_index<InspectJob>();
            main_job_ = begin_job(InspectJob{last_flush_, true});
        }
    }
    if (v_.data_fresh && v_.data.end_searched && ended_sequence_ == 0) {
        publish();
        ended_sequence_ = sequence_;
    }
    wake_ = std::min(wake_, *linger_until_);
}

bool Agent::ended() const {
    if (!v_.ending || v_.run != Run::Off || v_.processes_left || killing_) return false;
    if (!was_master_) return !v_.job || clock_.now() >= v_.ending_since + settings_.grace;
    if (linger_until_ && clock_.now() >= *linger_until_) return true;
    return ended_sequence_ != 0 && delivered_ >= ended_sequence_;
}

}  // namespace matriarch::agent
