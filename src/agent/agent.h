// Agent: the core of matriarch-agent. It owns all mutable state, lets the gate judge orders and the
// brain decide, and applies what they say through Instance and StateStore.
//
// One thread calls everything here; the world comes in as events, orders and ticks and nothing here
// waits. So the same class runs in production's main loop and in a simulation with virtual time.
// Between brain and Instance stands the mandate: whether a master may serve is asked in
// `may_serve()` alone, before each decision, and losing it comes before all else. The parts:
// agent.cc (deciding and doing), agent_events.cc, agent_orders.cc, agent_mandate.cc and
// agent_report.cc.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "agent/brain.h"
#include "agent/gate.h"
#include "agent/instance.h"
#include "agent/mandate.h"
#include "agent/state.h"
#include "agent/ways.h"
#include "base/random.h"
#include "model/report.h"
#include "postgres/replay_lag.h"

namespace matriarch::agent {

struct Settings {
    PodUid pod;
    std::string version;
    postgres::Layout layout;
    Duration grace = seconds(30);
    Duration linger = seconds(5);  // a fenced master waits so long for the operator to hear of it
};

class Agent {
  public:
    // All but `settings` and `random` must outlive the agent.
    Agent(Settings settings, const Clock& clock, Random& random, StateStore& store,
          Instance& instance, Ways& ways, Guard& guard);

    // Loads the state and looks at the volume.
    void begin();
    OrderAnswer handle(const Order& order);
    void on(Event event);
    void tick();
    TimePoint wake() const { return wake_; }

    // SIGTERM. `ended()` once PostgreSQL is gone, and, after a master, once the operator knows.
    void end();
    bool ended() const;
    // The operator asks for a report; its poll may carry a grant.
    void hear(const Poll& poll);
    // A master asks for a promise; `asker` is the name in its certificate.
    PromiseAnswer promise(const PromiseRequest& request, const std::string& asker);

    // False until the volume was looked at for the first time: until then nobody may be told
    // that there is no data.
    bool knows_volume() const { return knows_volume_; }
    const Incarnation& incarnation() const { return incarnation_; }
    std::uint64_t sequence() const { return sequence_; }
    Report report() const;
    // Called when `sequence` rose.
    void on_change(std::function<void()> call) { on_change_ = std::move(call); }
    const State& state() const { return state_; }

  private:
    struct SideJob {
        JobId id = 0;
        std::string config_hash;
    };

    // Events.
    void on_event(PostmasterEnded& event);
    void on_event(AllGone& event);
    void on_event(JobEnded& event);
    void on_event(JobProgress& event);
    void on_event(Probed& event);
    void on_event(Knocked& event);
    void on_event(RecordAnswered& event);
    void on_event(PromiseAnswered& event);
    void main_job_ended(JobEnded& event);
    void take_upstream(const postgres::UpstreamFacts& facts);
    EpochId opened_by(Timeline timeline) const;
    void note_opening();
    void postgres_is_off();

    // Orders.
    GateView gate_view() const;
    Status remember(const Order& order);
    void accept(const Order& order);
    void configure(const InstanceConfig& config);
    void set_goal(const Order& order);

    // The mandate.
    bool as_master() const;
    bool may_serve() const;
    Seat seat() const;
    Claim claim() const;
    void take(const Grant& grant);
    bool save(State next, const char* what);
    void keep_mandate();
    void ask_ways();
    void lose();
    void say_once(std::string& last, const char* what, const std::string& why) const;
    TimePoint mandate_wake() const;
    TimePoint operator_away_at() const;
    void master_died();
    bool may_start_itself() const;
    void start_by_itself();
    void tend_own_start();
    std::optional<std::string> no_promise(const PromiseRequest& request,
                                          const std::string& asker) const;
    milliseconds promised_left() const;
    void fill_mandate(Report& report) const;
    // Since when something is under way that will be news, and what it is by then.
    void fill_vitals(Report& report) const;
    void watch_vitals();

    // Deciding and doing.
    void step();
    void refresh();
    void look_at_stop();
    bool apply(const Action& action);
    bool start(Role role);
    bool cancel_job();
    bool write_configuration();
    bool store_fence(Epoch epoch);
    void upkeep();
    std::optional<Upstream> streams_from() const;
    void end_as_master();
    void note_failure(const std::string& message);
    void measure();
    void take_volume(const VolumeFacts& facts);
    void note_rejoined(RejoinedBy way, Bytes diverged);
    JobId begin_job(Job job);
    bool is_due(TimePoint due);
    postgres::ServerConfig wanted_server(std::optional<Role> starts_as) const;
    ConfigFiles render(const postgres::ServerConfig& server) const;
    void wrote(postgres::ServerConfig server);
    const std::string& config_hash() const;
    void publish();
    PostgresState postgres_state() const;
    void fill_server(Report& report) const;
    void note_replay(const postgres::ServerStatus& status, TimePoint now);
    void note_sync(TimePoint asked_at);

    Settings settings_;
    const Clock& clock_;
    StateStore& store_;
    Instance& instance_;
    Ways& ways_;
    Guard& guard_;
    std::function<void()> on_change_;
    const std::string slot_;
    Incarnation incarnation_;

    State state_;
    std::string state_trouble_;  // why the stored state is unusable
    LocalView v_;
    Mandate mandate_;
    std::string mandate_trouble_;                                   // why the last one ended
    std::string grant_trouble_, record_trouble_, promise_trouble_;  // as logged last
    Epoch run_epoch_;                   // by whose mandate the server serves, or served last
    bool promotion_triggered_ = false;  // in this run
    TimePoint killing_since_;
    Epoch withheld_;            // no promise for epochs up to this one
    TimePoint promised_until_;  // no promotion after an expiry before
    std::optional<TimePoint> last_poll_;
    // The bounded start without an order, once in an epoch: the master that died, and since when it
    // is being started.
    Epoch died_, started_itself_;
    std::optional<TimePoint> own_start_;
    CandidateSet expected_;  // by ways_
    std::optional<Goal> goal_;
    std::optional<Order> followed_;  // the last Follow: what streams came by it
    OrderProgress progress_;
    bool knows_volume_ = false;
    bool dead_ = false;  // the postmaster ended without our asking
    bool killing_ = false;
    bool ended_in_kill_ = false;  // the postmaster, and we were told
    bool was_master_ = false;     // of the last run
    std::string end_of_last_run_;

    std::uint64_t generation_ = 0;             // of the run that is on
    std::optional<std::string> written_hash_;  // of the configuration that the files were made of
    postgres::ServerConfig written_server_;
    std::optional<TimePoint> last_sample_, silent_since_;
    std::chrono::microseconds answered_in_{0};  // of the last sample
    postgres::ReplayLag replay_lag_;
    std::optional<TimePoint> replay_waits_since_;
    Lsn last_flush_;
    Timeline last_timeline_;
    // Whom commits wait for, since the server is known to have loaded it.
    struct SyncInForce {
        SyncRule rule;
        Timeline timeline;
        Lsn since;  // of a master
    };
    std::optional<SyncInForce> sync_in_force_;

    JobId next_job_ = 1, main_job_ = 0;
    bool main_job_is_work_ = false;  // it changes the volume
    std::string job_text_;
    std::optional<SideJob> validating_, reconciling_, slots_, checkpoint_;
    std::optional<InstanceConfig> candidate_;  // being validated
    // Of state_.config, which is asked at every step.
    mutable std::optional<InstanceConfig> hashed_;
    mutable std::string hash_;
    std::string refused_config_;
    std::optional<SideJob> measuring_;
    TimePoint measure_due_;
    VolumeFacts volume_;
    std::optional<TimePoint> full_since_;
    Bytes memory_;  // our own
    std::vector<ParameterTrouble> parameter_troubles_;
    TimePoint slots_due_, reconcile_due_;
    std::optional<TimePoint> checkpoint_due_;  // after a promotion
    std::string side_trouble_;

    std::uint64_t sequence_ = 0, delivered_ = 0, ended_sequence_ = 0;
    std::optional<TimePoint> linger_until_;
    Report published_;
    TimePoint wake_ = TimePoint::max();
};

// Goals that an agent takes up again by itself after a restart: none of them makes a master.
bool resumes(OrderKind kind);

}  // namespace matriarch::agent
