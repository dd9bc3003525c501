// Agent's orders: judged by the gate, remembered, then taken up as a goal or done at once.
#include <algorithm>
#include <utility>

#include "agent/agent.h"
#include "base/mutant.h"
#include "telemetry/log.h"

namespace matriarch::agent {
namespace {

namespace log = telemetry::log;

bool is_goal(OrderKind kind) {
    return kind != OrderKind::Configure && kind != OrderKind::Checkpoint &&
           kind != OrderKind::Restart;
}

}  // namespace

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
    g.withheld = withheld_;
    g.promised = promised_left();
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
        if (order.grant) take(*order.grant);
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
        next.candidates = CandidateSet();
        next.sync = SyncRule();
        next.promotes = EpochId();
    }
    if (order.sync && order.sync->version > next.sync.version) next.sync = *order.sync;
    const bool lowers = order.kind == OrderKind::Configure && order.ttl.count() > 0 &&
                        clock_.now() >= promised_until_;  // no promise of the longer one stands
    next.ttl = lowers ? order.ttl : std::max(next.ttl, order.ttl);
    if (is_goal(order.kind)) {
        const bool same = next.goal && next.goal->id == order.id &&
                          next.goal->upstream == order.upstream &&
                          next.goal->incarnation == order.incarnation;
        if (!same) {
            next.goal = order;
            next.goal->config.reset();  // kept once, in `config`
            next.goal->sync.reset();    // likewise, in `sync`
            next.goal->grant.reset();   // for this moment only
        }
        if (order.kind == OrderKind::Initialize) {
            next.initialized_for = order.epoch_id;
            next.config = order.config;
        }
        if (order.kind == OrderKind::Fence && mutant("fence_told_too_early")) {
            next.fenced = order.epoch;
            next.fenced_by = settings_.pod;
        }
        if (order.candidates.version > next.candidates.version) next.candidates = order.candidates;
    }
    if (next == state_) return {};
    // An unusable file is replaced only by a fence: it then says all that must be known.
    if (state_trouble_.empty()) {
        const bool fence = order.kind == OrderKind::Fence;
        if (auto saved = fence ? store_.save_fence(next) : store_.save(next); !saved) return saved;
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
    own_start_.reset();
    died_ = Epoch();
    withheld_ = order.kind == OrderKind::Halt && order.withhold ? order.epoch : Epoch();
    if (order.kind == OrderKind::Initialize) v_.has_config = true;
    v_.initialized_here =
        !state_.initialized_for.empty() && state_.initialized_for == state_.epoch_id;
    progress_.id = order.id;
    progress_.kind = order.kind;
    if (same) return;
    const bool same_upstream = goal_ && goal_->order.upstream == order.upstream;
    if (v_.job && !same_upstream &&
        (*v_.job == job_index<CloneJob>() || *v_.job == job_index<AskUpstreamJob>()))
        cancel_job();
    goal_ = Goal{order, clock_.now()};
    if (order.kind == OrderKind::Follow) followed_ = order;
    progress_.state = OrderState::Working;
    progress_.message.clear();
    v_.upstream.reset();
    v_.failures = 0;
    v_.last_failure.clear();
    v_.not_before = TimePoint();
    v_.reserved = v_.checkpointed = false;
    v_.rescued.reset();
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

}  // namespace matriarch::agent
