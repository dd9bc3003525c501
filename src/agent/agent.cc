#include "agent/agent.h"

#include <algorithm>
#include <utility>

#include "agent/rejoin.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

constexpr Duration kSlotsEvery = seconds(5);
constexpr Duration kRetrySide = seconds(1);
constexpr int kStepLimit = 16;  // a decision leads to another at most so often at one moment

// Goals that an agent takes up again by itself after a restart: none of them makes a master.
bool resumes(OrderKind kind) {
    return kind == OrderKind::Follow || kind == OrderKind::Halt || kind == OrderKind::Fence;
}

bool is_goal(OrderKind kind) {
    return kind != OrderKind::Configure && kind != OrderKind::Checkpoint &&
           kind != OrderKind::Restart;
}

}  // namespace

Agent::Agent(Settings settings, const Clock& clock, Random& random, StateStore& store,
             Instance& instance)
    : settings_(std::move(settings)),
      clock_(clock),
      store_(store),
      instance_(instance),
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
    v_.grace = settings_.grace;
    v_.has_config = state_.config.has_value();
    v_.fenced = state_.fenced;
    if (state_.goal && resumes(state_.goal->kind)) {
        goal_ = Goal{*state_.goal, clock_.now()};
        // The operator gives its orders anew to a new incarnation; until then this one is nobody's.
        goal_->order.id = OrderId();
        log::info("takes up the stored goal", {{"goal", to_string(goal_->order.kind)}});
    }
    main_job_ = begin_job(InspectJob{});
    v_.job = Job(InspectJob{}).index();
    publish();
}

// --- events ---------------------------------------------------------------------------------

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
    end_of_last_run_ = event.how;
    log::info("the postmaster ended", {{"how", event.how}, {"asked", asked}});
    const bool had_goal = goal_.has_value();
    postgres_is_off();
    if (asked) return;
    dead_ = true;
    if (was_master_ || (goal_ && !resumes(goal_->order.kind))) {
        // Never again as master without an order: see design, Processes.
        if (goal_ && goal_->order.kind != OrderKind::Fence) goal_.reset();
        if (had_goal && !goal_) progress_ = OrderProgress{};
    }
    if (!was_master_ && never_up) note_failure("PostgreSQL ended at once (" + event.how + ")");
}

void Agent::on_event(AllGone&) {
    killing_ = false;
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
    v_.promoting = false;
    v_.reserved = false;
    v_.sampled_after_conf = false;
    v_.reconciled = false;
    last_sample_.reset();
    last_accept_.reset();
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
    } else if (is(checkpoint_)) {
        checkpoint_.reset();
        if (!event.output) log::warn("checkpoint", event.output.error());
    }
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
        // An end that can't be searched for must not hold up a fence.
        if (kind == Job(InspectJob{}).index()) {
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
        }
        return;
    }
    v_.failures = 0;
    v_.last_failure.clear();
    if (auto* upstream = std::get_if<postgres::UpstreamFacts>(&output))
        return take_upstream(*upstream);
    if (changed_volume) {
        v_.data_fresh = false;
        v_.must_check = false;
    }
    if (kind == Job(RescueJob{}).index()) v_.rescued = true;
    if (const auto* bytes = std::get_if<Bytes>(&output); bytes && kind == Job(RewindJob{}).index())
        v_.rewound = *bytes;
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
    const Rejoin rejoin = choose_rung(own, facts);
    v_.must_check = rejoin.rung == Rejoin::Rung::Rewind || rejoin.rung == Rejoin::Rung::Clone;
    v_.last_failure = v_.must_check ? rejoin.why : "the upstream answers but does not stream";
}

void Agent::on_event(Probed& event) {
    if (event.generation != generation_ || v_.run == Run::Off) return;
    if (event.accepts) last_accept_ = event.asked_at;
    if (!event.status) return;
    const TimePoint now = clock_.now();
    auto& status = *event.status;
    last_sample_ = event.asked_at;
    if (v_.run == Run::Starting) {
        v_.run = Run::Up;
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
    }
    if (status.receiving) last_stream_ = now;
    const Lsn flush =
        status.in_recovery ? std::max(status.received, status.replayed) : status.flushed;
    if (flush.known() && flush != last_flush_) {
        last_flush_ = flush;
        instance_.remember_flush(status.timeline, flush);
    }
    v_.sampled_after_conf = event.asked_at >= v_.conf_since;
    v_.server = std::move(status);
}

// --- orders ---------------------------------------------------------------------------------

GateView Agent::gate_view() const {
    GateView g;
    g.incarnation = incarnation_;
    g.now = std::chrono::duration_cast<milliseconds>(clock_.now().time_since_epoch());
    g.state = state_trouble_.empty() ? &state_ : nullptr;
    g.data = v_.data.kind;
    g.data_known = knows_volume_;
    g.data_standby = v_.data.standby;
    g.system_identifier = v_.data.system_identifier;
    g.runs = v_.run != Run::Off;
    if (g.runs) {
        if (v_.server)
            g.in_recovery = v_.server->in_recovery ? Known::Yes : Known::No;
        else
            g.in_recovery = v_.role == Role::Slave ? Known::Yes : Known::No;
    }
    g.stopping = v_.ending;
    return g;
}

OrderAnswer Agent::handle(const Order& order) {
    OrderAnswer answer;
    if (auto why = refusal(order, gate_view())) {
        answer.reason = std::move(*why);
        log::warn("refuses an order",
                  {{"kind", to_string(order.kind)}, {"id", order.id}, {"why", answer.reason}});
    } else if (auto stored = remember(order); !stored) {
        answer.reason = stored.error().message();
        log::error("refuses an order", stored.error(), {{"kind", to_string(order.kind)}});
    } else {
        accept(order);
        answer.accepted = true;
        step();
    }
    answer.report = report();
    return answer;
}

// Term, epoch and goal are on disk before anything is done for them (INV-2).
Status Agent::remember(const Order& order) {
    State next = state_;
    next.term = std::max(next.term, order.term);
    if (order.epoch > next.epoch || next.epoch_id.empty()) {
        next.epoch = order.epoch;
        next.epoch_id = order.epoch_id;
    }
    if (is_goal(order.kind)) {
        if (!(next.goal && next.goal->id == order.id && next.goal->upstream == order.upstream)) {
            next.goal = order;
            next.goal->config.reset();  // kept once, in `config`
        }
        if (order.kind == OrderKind::Initialize) {
            next.initialized_for = order.epoch_id;
            next.config = order.config;
        }
        if (order.candidates.known()) next.candidates = order.candidates;
        if (order.sync) next.sync = order.sync;
    }
    if (next == state_) return {};
    // An unusable file is replaced only by a fence: it then says all that must be known.
    if (state_trouble_.empty()) {
        if (auto saved = store_.save(next); !saved) return saved;
    }
    state_ = std::move(next);
    return {};
}

void Agent::accept(const Order& order) {
    const bool repeated = progress_.id == order.id && progress_.state != OrderState::Failed;
    if (!repeated)
        log::info("order", {{"kind", to_string(order.kind)},
                            {"id", order.id},
                            {"epoch", order.epoch},
                            {"term", order.term}});
    switch (order.kind) {
        case OrderKind::Configure:
            return configure(*order.config);
        case OrderKind::Checkpoint:
            if (!checkpoint_ && v_.run == Run::Up)
                checkpoint_ = SideJob{begin_job(CheckpointJob{}), ""};
            return;
        case OrderKind::Restart:
            if (repeated) return;
            progress_ = {order.id, order.kind, OrderState::Working, "stops"};
            if (v_.run == Run::Off) {
                progress_.state = OrderState::Failed;
                progress_.message = "PostgreSQL is not running";
                return;
            }
            v_.restart = true;
            return;
        default:
            return set_goal(order);
    }
}

void Agent::set_goal(const Order& order) {
    const bool same = goal_ && goal_->order.id == order.id && progress_.id == order.id &&
                      progress_.state != OrderState::Failed &&
                      goal_->order.upstream == order.upstream;
    if (order.kind == OrderKind::Initialize) v_.has_config = true;
    v_.initialized_here =
        !state_.initialized_for.empty() && state_.initialized_for == state_.epoch_id;
    progress_.id = order.id;
    progress_.kind = order.kind;
    if (same) return;
    const bool same_upstream = goal_ && goal_->order.upstream == order.upstream;
    if (v_.job && !same_upstream &&
        (*v_.job == Job(CloneJob{}).index() || *v_.job == Job(AskUpstreamJob{}).index()))
        instance_.cancel(main_job_);
    goal_ = Goal{order, clock_.now()};
    progress_.state = OrderState::Working;
    progress_.message.clear();
    v_.upstream.reset();
    v_.failures = 0;
    v_.last_failure.clear();
    v_.not_before = TimePoint();
    v_.reserved = v_.rescued = false;
    v_.rewound.reset();
    v_.promoting = false;
    v_.restart = false;
}

void Agent::configure(const InstanceConfig& config) {
    const std::string hash = config.hash();
    if (hash == refused_config_ || (state_.config && state_.config->hash() == hash)) {
        // What was refused has been taken back.
        if (hash != refused_config_) {
            refused_config_.clear();
            parameter_troubles_.clear();
        }
        return;
    }
    if (validating_) {
        if (validating_->config_hash == hash) return;
        instance_.cancel(validating_->id);
    }
    candidate_ = config;
    postgres::ServerConfig server = written_server_;
    validating_ = SideJob{begin_job(ValidateJob{config, postgres::render_postgresql_conf(
                                                            settings_.layout, config, server)}),
                          hash};
}

// --- deciding and doing ---------------------------------------------------------------------

bool Agent::may_serve() const {
    return state_trouble_.empty() && state_.epoch > state_.fenced;
}

ConfigFiles Agent::render(Role role_if_off, bool starting, postgres::ServerConfig* server) const {
    postgres::ServerConfig wanted =
        wanted_server_config(v_, goal_, settings_.layout, written_server_);
    if (starting && wanted.role != role_if_off) {
        // A promotion that begins with a start as slave, or a start without a goal.
        wanted.role = role_if_off;
        wanted.read_only = role_if_off == Role::Slave;
        if (role_if_off == Role::Master) wanted.primary_conninfo = wanted.primary_slot_name = "";
    }
    if (server != nullptr) *server = wanted;
    const InstanceConfig none;
    const InstanceConfig& config = state_.config ? *state_.config : none;
    return {postgres::render_postgresql_conf(settings_.layout, config, wanted),
            postgres::render_hba(settings_.layout, config),
            postgres::render_ident(settings_.layout)};
}

void Agent::refresh() {
    if (v_.run == Run::Off && !killing_) v_.processes_left = instance_.processes_left();
    v_.conf_current = written_ && *written_ == render(v_.role, false, nullptr);
}

void Agent::step() {
    if (!knows_volume_) return publish();
    for (int i = 0; i < kStepLimit; ++i) {
        refresh();
        const Decision decision = think(v_, goal_, slot_, clock_.now());
        wake_ = decision.wake;
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
    upkeep();
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
            return store_fence(goal_->order.epoch);
        case Kind::CancelJob:
            instance_.cancel(main_job_);
            return false;
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

bool Agent::start(Role role) {
    if (role == Role::Master && !may_serve()) {
        note_failure("it may not serve: fenced at epoch " + std::to_string(state_.fenced.value));
        return false;
    }
    postgres::ServerConfig server;
    ConfigFiles files = render(role, true, &server);
    auto started = instance_.start(role, files);
    if (!started) {
        note_failure(started.error().message());
        log::error("can't start PostgreSQL", started.error());
        return false;
    }
    written_ = std::move(files);
    written_server_ = std::move(server);
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
    log::info("starts PostgreSQL", {{"role", postgres::to_string(role)}, {"epoch", state_.epoch}});
    return true;
}

bool Agent::write_configuration() {
    postgres::ServerConfig server;
    ConfigFiles files = render(v_.role, false, &server);
    if (auto done = instance_.configure(files); !done) {
        note_failure(done.error().message());
        return false;
    }
    written_ = std::move(files);
    written_server_ = std::move(server);
    v_.conf_since = clock_.now();
    v_.sampled_after_conf = false;
    return true;
}

bool Agent::store_fence(Epoch epoch) {
    State next = state_;
    next.fenced = std::max(next.fenced, epoch);
    next.fenced_by = settings_.pod;
    if (auto saved = store_.save(next); !saved) {
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

// What a running server needs now and then, beside the goal.
void Agent::upkeep() {
    if (v_.run != Run::Up || !v_.server || !state_.config || v_.ending) return;
    const TimePoint now = clock_.now();
    const bool master = !v_.server->in_recovery && v_.role == Role::Master;
    if (master && !v_.reconciled && !reconciling_ && !v_.server->read_only_default) {
        if (now >= reconcile_due_)
            reconciling_ = SideJob{begin_job(ReconcileJob{*state_.config}), state_.config->hash()};
        else
            wake_ = std::min(wake_, reconcile_due_);
    }
    if (!slots_ && !v_.promoting) {
        if (now >= slots_due_)
            slots_ = SideJob{begin_job(SlotsJob{state_.config->slots}), ""};
        else
            wake_ = std::min(wake_, slots_due_);
    }
    if (!v_.server->in_recovery) v_.promoting = false;
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
            v_.job = Job(InspectJob{}).index();
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

void Agent::delivered(std::uint64_t sequence) {
    delivered_ = std::max(delivered_, sequence);
}

}  // namespace matriarch::agent
