#include "agent/brain.h"

#include <algorithm>

#include "agent/rejoin.h"

namespace matriarch::agent {
namespace {

using Kind = Action::Kind;

constexpr Duration kCleanStop = seconds(5);         // crash recovery and rescue lose nothing either
constexpr Duration kRestartStop = seconds(30);      //
constexpr Duration kCheckpointFirst = seconds(30);  // meanwhile the master serves
// Once all is on disk. A healthy slave confirms the last record in a few milliseconds; a hung one
// would hold the postmaster for wal_sender_timeout. What the heir lacks then is rescued, what
// others lack the heir sends them: nobody is waited for once it has all. Without a heir anybody may
// be it.
constexpr Duration kConfirmSoon = milliseconds(50), kConfirmLate = seconds(1);
constexpr Duration kLookAgain = milliseconds(10);
constexpr Duration kStreamPatience = seconds(3);  // then the upstream is asked why
constexpr int kStartsBeforeClone = 4;             // a slave's data that fails so often is replaced
constexpr Duration kPromoteAgain = seconds(5);
constexpr Duration kCheckpointPause = milliseconds(300);

std::vector<Timeline> lineage(const postgres::Position& position) {
    std::vector<Timeline> out{position.timeline};
    for (const auto& entry : position.history) out.push_back(entry.timeline);
    return out;
}

// One decision in the making.
class Thought {
  public:
    Thought(const LocalView& view, TimePoint now) : v(view), now_(now) {}

    void act(Kind kind, std::string why, Role role = Role::Slave) {
        d.actions.push_back({kind, role, std::nullopt, why, Epoch()});
        say(std::move(why));
    }
    void store_fence(Epoch epoch) {
        d.actions.push_back(
            {Kind::StoreFence, Role::Slave, std::nullopt, "every process is gone", epoch});
        say("every process is gone");
    }
    void begin(Job job, std::string why) {
        if (v.job) return;  // one at a time
        d.actions.push_back({Kind::Begin, Role::Slave, std::move(job), why, Epoch()});
        say(std::move(why));
    }
    void say(std::string message) { d.message = std::move(message); }
    void wake(TimePoint at) { d.wake = std::min(d.wake, at); }
    void done(std::string message = {}) {
        d.progress = OrderState::Done;
        d.message = std::move(message);
    }
    void fail(std::string message) {
        d.progress = OrderState::Failed;
        d.message = std::move(message);
    }
    // After a failure: true while it is too early to try again.
    bool backing_off() {
        if (v.failures == 0 || now_ >= v.not_before) return false;
        wake(v.not_before);
        say(v.last_failure);
        return true;
    }
    bool runs_job(std::size_t index) const { return v.job && *v.job == index; }

    const LocalView& v;
    Decision d;

  private:
    TimePoint now_;
};

class Brain {
  public:
    Brain(const LocalView& view, const std::string& slot, TimePoint now)
        : v(view), slot_(slot), now_(now), t(view, now) {}

    Decision decide(const std::optional<Goal>& goal) {
        if (v.lost.value != 0) {
            lose();
        } else if (v.ending) {
            end();
        } else if (!goal) {
            idle();
        } else {
            goal_ = &*goal;
            pursue(goal->order.kind);
        }
        return std::move(t.d);
    }

  private:
    const Order& order() const { return goal_->order; }

    void pursue(OrderKind kind) {
        if (kind == OrderKind::Fence) return fence();
        if (v.restart && v.run != Run::Off) return stop_for_restart();
        switch (kind) {
            case OrderKind::Initialize:
                return initialize();
            case OrderKind::Lead:
                return lead();
            case OrderKind::Follow:
                return follow();
            case OrderKind::Halt:
                return halt();
            case OrderKind::Promote:
                return promote();
            default:
                return idle();
        }
    }

    // SIGTERM: fast shutdown within 60 % of the grace period, then all is killed.
    void end() {
        if (v.job) t.act(Kind::CancelJob, "the agent ends");
        if (v.run == Run::Off && !v.processes_left) return t.done("PostgreSQL is stopped");
        const TimePoint limit = v.ending_since + v.grace * 6 / 10;
        if (now_ >= limit || v.run == Run::Off)
            return t.act(Kind::KillAll, "the grace period for a clean stop is over");
        t.wake(limit);
        if (v.run != Run::Stopping) return t.act(Kind::StopFast, "the agent ends");
        wait_for_stop(limit, InstanceName());
    }

    // A fast shutdown is under way. Once all is on disk, a slave that does not confirm the last
    // record is not waited for any more if the heir (any slave, if none is named) has it.
    void wait_for_stop(TimePoint limit, const InstanceName& heir) {
        if (now_ >= limit) return t.act(Kind::KillAll, "it does not stop");
        t.wake(limit);
        t.say("waits for PostgreSQL to stop");
        if (!v.shut_down) return t.wake(now_ + kLookAgain);
        // Writers wait for the heir: not also for the postmaster's own end, which takes its time
        // while they call again and again.
        if (heir.empty() && v.unconfirmed.empty()) return;
        const auto& waits = v.unconfirmed;
        const bool heir_has_it =
            !heir.empty() && std::find(waits.begin(), waits.end(), heir) == waits.end();
        const bool somebody_has_it = heir.empty() && !v.confirmed.empty();
        const Duration patience = heir_has_it       ? Duration::zero()
                                  : somebody_has_it ? kConfirmSoon
                                                    : kConfirmLate;
        const TimePoint cut = *v.shut_down + patience;
        if (now_ >= cut)
            return t.act(Kind::KillAll, "it is shut down, and the rest is not waited for");
        t.wake(std::min(cut, now_ + kLookAgain));
        t.say("waits for the last WAL to reach the slaves");
    }

    // The mandate ran out: before anything else, nobody may be acknowledged any more.
    void lose() {
        cancel_work("the mandate ran out");
        if (v.run != Run::Off || v.processes_left)
            return t.act(Kind::KillAll, "the mandate ran out");
        if (v.fenced < v.lost) t.store_fence(v.lost);
    }

    void cancel_work(const char* why) {
        if (v.job && !t.runs_job(job_index<InspectJob>())) t.act(Kind::CancelJob, why);
    }

    // False: it must not begin to serve, since somebody else might.
    bool has_mandate() {
        if (v.may_serve) return true;
        t.say("waits for a mandate");
        return false;
    }

    // No goal: leftovers of a dead postmaster go, the volume is looked at, a slave's data starts.
    void idle() {
        t.d.progress = OrderState::None;
        if (!settle(true)) return;
        // Fenced in its own epoch: not even as a slave until the cluster moved on.
        if (v.run == Run::Off && v.fenced.value != 0 && v.fenced >= v.epoch) return;
        if (v.run == Run::Off && v.data.kind == DataFacts::Kind::Complete && v.data.standby &&
            v.has_config && !t.backing_off())
            t.act(Kind::Start, "a slave's data is served read-only", Role::Slave);
        else if (v.run != Run::Off)
            tend();
    }

    // What holds in any running state: the files are as they should be.
    bool tend() {
        if (v.conf_current || v.run == Run::Stopping) return true;
        t.act(Kind::Configure, "the configuration changes");
        return false;
    }

    // Off, with no process left and known data. False: not yet, and something was begun.
    bool settle(bool find_end) {
        if (v.run != Run::Off) return true;
        if (v.processes_left) {
            t.act(Kind::KillAll, "processes of a former start are left");
            return false;
        }
        if (v.job) {
            t.say("busy");
            return false;
        }
        if (!v.data_fresh || (find_end && !v.data.end_searched)) {
            t.begin(InspectJob{Lsn(), find_end}, "looks at the data directory");
            return false;
        }
        return true;
    }

    void fence() {
        const bool checkpoints = order().clean && t.runs_job(job_index<CheckpointJob>());
        if (!checkpoints || v.run != Run::Up) cancel_work("a fence is ordered");
        if (v.run != Run::Off) {
            if (!order().clean) return t.act(Kind::KillAll, "a fence is ordered");
            if (v.run == Run::Stopping)
                return wait_for_stop(v.run_since + kCleanStop, order().heir);
            if (v.run == Run::Up && checkpoint_first()) return;
            return t.act(Kind::StopFast, "a clean stop is ordered");
        }
        if (v.processes_left) return t.act(Kind::KillAll, "a fence is ordered");
        if (v.fenced < order().epoch) t.store_fence(order().epoch);
        if (!settle(true)) return;
        t.done("fenced");
    }

    // The one that a stop makes is then short: only until here does the master serve.
    bool checkpoint_first() {
        const TimePoint limit = goal_->since + kCheckpointFirst;
        if (v.checkpointed || now_ >= limit) return false;
        t.wake(limit);
        t.begin(CheckpointJob{}, "a clean stop is ordered");
        t.say("writes a checkpoint before it stops");
        return true;
    }

    void stop_for_restart() {
        if (v.run != Run::Stopping) return t.act(Kind::StopFast, "a restart is ordered");
        wait_for_stop(v.run_since + kRestartStop, InstanceName());
    }

    void initialize() {
        if (v.run == Run::Off) {
            if (t.runs_job(job_index<InitializeJob>())) return t.say("initdb");
            if (!settle(false)) return;
            if (v.data.kind == DataFacts::Kind::None) {
                if (t.backing_off() || !has_mandate()) return;
                return t.begin(InitializeJob{*order().config}, "makes a new database");
            }
            if (v.data.kind == DataFacts::Kind::Broken) return t.fail(v.data.trouble);
            if (!v.initialized_here) return t.fail("there is a data directory already");
        }
        serve();
    }

    void lead() {
        if (v.run == Run::Off) {
            if (!settle(false)) return;
            if (v.data.kind != DataFacts::Kind::Complete)
                return t.fail(v.data.trouble.empty() ? "there is no data" : v.data.trouble);
            if (v.data.standby) return t.fail("the data is a slave's: that needs Promote");
        }
        serve();
    }

    // Master's data: start it, or bring the running master to what it should be.
    void serve() {
        if (v.run == Run::Off) {
            if (!settle(false) || t.backing_off() || !has_mandate()) return;
            return t.act(Kind::Start, "starts as master", Role::Master);
        }
        if (v.run != Run::Up || !v.server) return t.say("waits until it accepts connections");
        if (v.server->in_recovery) {
            if (v.role == Role::Slave) return t.fail("it runs as a slave: that needs Promote");
            return t.say("recovers");
        }
        tend();
        if (v.server->read_only_default) return t.say("waits for read-only to be lifted");
        if (v.reconciled || order().kind != OrderKind::Initialize) return t.done();
        t.say(v.last_failure.empty() ? "makes roles and database" : v.last_failure);
    }

    void halt() {
        if (v.run == Run::Off) {
            // What a former master has beyond the others can be fetched once its end is known.
            if (!settle(!v.data.standby)) return;
            // Whether it may lead, and what others may lack, is known only while it runs.
            const bool slaves = v.data.kind == DataFacts::Kind::Complete && v.data.standby;
            if (!slaves || v.must_check) return t.done("not running");
            if (t.backing_off()) return;
            return t.act(Kind::Start, "starts, and receives nothing", Role::Slave);
        }
        if (v.run != Run::Up || !v.server) return t.say("waits until it accepts connections");
        if (!v.server->in_recovery) return t.fail("it is no slave");
        if (!tend()) return t.say("stops the receiver");
        if (!v.sampled_after_conf || v.server->receiving || v.server->conninfo_set)
            return t.say("waits for the receiver to stop");
        t.done();
    }

    void promote() {
        if (v.run == Run::Off) {
            if (!settle(false)) return;
            if (v.data.kind != DataFacts::Kind::Complete) return t.fail("there is no data");
            // It ended after its promotion, and the order came again.
            if (!v.data.standby) return serve_as_promoted();
            if (t.backing_off()) return;
            return t.act(Kind::Start, "starts, to be promoted", Role::Slave);
        }
        if (v.run != Run::Up || !v.server) return t.say("waits until it accepts connections");
        if (!v.server->in_recovery) return serve_as_promoted();
        if (!prepare_promotion()) return;
        if (!has_mandate()) return;
        if (!v.promoting || now_ >= v.promoting_since + kPromoteAgain)
            t.act(Kind::Promote, "promotes");
        else
            tend();
        t.wake(now_ + kPromoteAgain);
        t.say("waits for the end of recovery");
    }

    // What it lacked when the order was given was on its way: PostgreSQL replays it as it promotes.
    bool arrived(const Rescue& rescue) const {
        if (v.rescued || t.runs_job(job_index<RescueJob>())) return false;
        return v.server->timeline == rescue.timeline &&
               std::max(v.server->received, v.server->replayed) >= rescue.end;
    }

    // Promoted by hand it may lack what it had to fetch first (INV-5).
    void serve_as_promoted() {
        if (v.promoted_here) return serve();
        t.fail("it left recovery before it was promoted for this epoch");
    }

    // Rescue and timeline reservation both need the receiver gone. Whom commits wait for is in
    // force before the first one (INV-5).
    bool prepare_promotion() {
        if (v.promoting) return true;
        if (!v.sync_loaded) {
            if (tend()) t.say("loads whom commits wait for");
            return false;
        }
        const bool reserve = order().reserved > v.server->timeline && !v.reserved;
        const bool rescue = order().rescue && !arrived(*order().rescue);
        if (!reserve && !rescue) return true;
        if (!tend()) return false;
        if (!v.sampled_after_conf || v.server->receiving) {
            t.say("waits for the receiver to stop");
            return false;
        }
        if (rescue && !v.rescued) {
            if (v.failures > 0) {
                t.fail("WAL can't be rescued: " + v.last_failure);
                return false;
            }
            const Lsn have = std::max(v.server->received, v.server->replayed);
            if (!t.runs_job(job_index<RescueJob>()))
                t.begin(RescueJob{*order().rescue, have}, "fetches the WAL that it lacks");
            return false;
        }
        if (rescue && v.server->replayed < *v.rescued) {
            t.say("replays rescued WAL: " + v.server->replayed.str() + " of " + v.rescued->str());
            return false;
        }
        if (reserve) t.act(Kind::Reserve, "reserves timeline numbers");
        return true;
    }

    void follow() {
        if (!v.has_config) return t.say("waits for its configuration");
        if (v.run == Run::Off) return follow_from_off();
        const bool master = v.server && !v.server->in_recovery;
        if (v.role == Role::Master || master)
            return t.act(Kind::KillAll, "a newer epoch has another master");
        if (v.run != Run::Up || !v.server) return t.say("waits until it accepts connections");
        if (must_climb()) return t.act(Kind::StopFast, "its WAL has left the upstream's history");
        if (!tend() || !v.sampled_after_conf) return t.say("turns to its upstream");
        if (streams_from_upstream()) {
            if (!v.rewound) return t.done();
            return t.done("rejoined by pg_rewind; " + std::to_string(v.rewound->value) +
                          " bytes of diverged WAL are kept aside");
        }
        ask_why_nothing_streams();
    }

    bool misled() const { return number_misleads(v.data, v.opening, v.opened_by, order()); }
    // Not to be started, nor left running, before its history was compared with the upstream's.
    bool must_climb() const { return v.must_check || misled(); }

    // The old stream lives on for some milliseconds after a reload.
    bool streams_from_upstream() const {
        const auto& upstream = *order().upstream;
        return v.server->receiving && v.server->sender_host == upstream.host &&
               v.server->sender_port == upstream.port;
    }

    // Running as a slave, without a stream for some time: is the upstream's history still ours?
    void ask_why_nothing_streams() {
        t.say(v.last_failure.empty() ? "waits for the stream" : v.last_failure);
        const TimePoint patience = v.conf_since + kStreamPatience;
        if (now_ < patience) return t.wake(patience);
        if (v.job || t.backing_off()) return;
        t.begin(AskUpstreamJob{*order().upstream}, "asks its upstream");
    }

    void follow_from_off() {
        if (t.runs_job(job_index<CloneJob>())) return t.say("clones");
        if (!settle(false)) return;
        if (!order().system_identifier.empty() && !v.data.system_identifier.empty() &&
            v.data.system_identifier != order().system_identifier)
            return t.fail("the data here has system identifier " + v.data.system_identifier.value +
                          ", the cluster's is " + order().system_identifier.value);
        if (t.backing_off()) return;
        switch (v.data.kind) {
            case DataFacts::Kind::None:
                return t.begin(CloneJob{*order().upstream, slot_}, "clones");
            case DataFacts::Kind::Broken:
                return clone_over(v.data.trouble);
            case DataFacts::Kind::Complete:
                break;
        }
        if (v.failed_starts >= kStartsBeforeClone && !v.recloned) return clone_what_never_starts();
        if (v.data.standby && !must_climb())
            return t.act(Kind::Start, "starts as slave", Role::Slave);
        climb();
    }

    // Once: a configuration that lets nothing start is no reason to clone again and again. The
    // upstream must answer, so this is not the last copy.
    void clone_what_never_starts() {
        if (!v.upstream) return t.begin(AskUpstreamJob{*order().upstream}, "asks its upstream");
        clone_over("it failed to start " + std::to_string(v.failed_starts) + " times");
    }

    // A goal that was taken up after a restart may be of an epoch that is over: what is here is
    // replaced by order only (INV-3).
    bool is_ordered() {
        if (!order().id.empty()) return true;
        t.say("waits for an order to replace the data here");
        return false;
    }

    void clone_over(const std::string& why) {
        if (is_ordered()) t.begin(CloneJob{*order().upstream, slot_}, "clones: " + why);
    }

    // A former master's data, or a slave's that went too far.
    void climb() {
        if (!settle(true)) return;
        if (!v.upstream) return t.begin(AskUpstreamJob{*order().upstream}, "asks its upstream");
        const Rejoin rejoin = choose_rung(v.data, *v.upstream, misled());
        switch (rejoin.rung) {
            case Rejoin::Rung::Refuse:
                return t.fail(rejoin.why);
            case Rejoin::Rung::Follow:
                return t.act(Kind::Start, "rejoins: " + rejoin.why, Role::Slave);
            case Rejoin::Rung::Clone:
                return clone_over(rejoin.why);
            case Rejoin::Rung::Rewind:
                break;
        }
        if (!is_ordered()) return;
        // pg_rewind believes the source's pg_control: without a checkpoint since its promotion it
        // would find both on one timeline and call that "no rewind required".
        if (v.upstream->in_recovery ||
            v.upstream->checkpoint_timeline != v.upstream->position.timeline) {
            t.say("waits for the upstream's checkpoint");
            const TimePoint again = v.upstream_at + kCheckpointPause;
            if (now_ < again) return t.wake(again);
            return t.begin(AskUpstreamJob{*order().upstream},
                           "waits for the upstream's checkpoint");
        }
        t.begin(RewindJob{*order().upstream, order().epoch, v.data.timeline, rejoin.fork,
                          v.data.end_of_wal, lineage(v.upstream->position)},
                "rewinds: " + rejoin.why);
    }

    const LocalView& v;
    const std::string& slot_;
    TimePoint now_;
    Thought t;
    const Goal* goal_ = nullptr;
};

}  // namespace

Duration backoff(int failures) {
    const int shift = std::clamp(failures - 1, 0, 5);
    return std::min<Duration>(seconds(1) * (1 << shift), seconds(30));
}

Decision think(const LocalView& view, const std::optional<Goal>& goal, const std::string& slot,
               TimePoint now) {
    return Brain(view, slot, now).decide(goal);
}

postgres::ServerConfig wanted_server_config(const LocalView& view, const std::optional<Goal>& goal,
                                            const postgres::Layout& layout,
                                            const postgres::ServerConfig& former) {
    postgres::ServerConfig out;
    const bool out_of_recovery =
        view.server ? !view.server->in_recovery
                    : view.run == Run::Off && view.data_fresh && !view.data.standby;
    const auto kind = goal ? goal->order.kind : OrderKind::Configure;
    const bool serves = kind == OrderKind::Lead || kind == OrderKind::Initialize ||
                        (kind == OrderKind::Promote && out_of_recovery);
    if (serves || (!goal && view.run != Run::Off && view.role == Role::Master)) {
        out.role = Role::Master;
        out.read_only = false;
        return out;
    }
    if (kind == OrderKind::Follow) {
        out.primary_conninfo = postgres::upstream_conninfo(layout, *goal->order.upstream);
        out.primary_slot_name = slot_name(layout.instance);
    } else if (kind == OrderKind::Promote) {
        // Promotion itself ends the receiver; only what must happen before it needs it stopped.
        const bool reserve =
            view.server && goal->order.reserved > view.server->timeline && !view.reserved;
        if (!reserve && !goal->order.rescue) {
            out.primary_conninfo = former.primary_conninfo;
            out.primary_slot_name = former.primary_slot_name;
        }
        if (view.rescued && goal->order.rescue) out.restore_command = layout.restore_command;
        // Not only once it has left recovery: its clients wait for that.
        out.read_only = !view.promoting;
    }
    return out;
}

}  // namespace matriarch::agent
