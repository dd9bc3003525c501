// Container: one start of the agent's container: the production Agent, a warden, PostgreSQL.
//
// Replaced are the edges of agent/run.cc: the main loop and the order port (agent/service.cc:
// sockets), LocalWays (sockets; the judgement of the record is production's), the warden's process,
// the state's file. A container that ended stays in memory, since messages under way name it.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>

#include "agent/agent.h"
#include "api_server.h"
#include "ledger.h"
#include "operator_process.h"
#include "postgres.h"

namespace matriarch::sim {

class Container;

// The containers of the other instances, by name, as DNS finds them.
class Peers {
  public:
    virtual ~Peers() = default;
    virtual Container* container_of(const InstanceName& instance) = 0;
};

// Where the API is, for the master's own renewal.
struct ApiAccess {
    HostId host;
    ApiServer& server;
    const ApiWeather& weather;
};

// Agent's ways over the simulated network.
class NetworkWays final : public agent::Ways {
  public:
    NetworkWays(const Place& place, ApiAccess api, Peers& peers, Ledger& ledger,
                std::shared_ptr<Process> process, Postgres::Deliver deliver)
        : place_(place),
          api_(api),
          peers_(peers),
          ledger_(ledger),
          process_(std::move(process)),
          deliver_(std::move(deliver)) {}
    void renew_record(const agent::Claim& claim, TimePoint sent, Deadline deadline) override;
    void ask_promises(const PromiseRequest& request, const std::vector<Member>& members,
                      Deadline deadline) override;
    void expect(const std::vector<Member>&) override {}

  private:
    struct Try;
    using OnResponse = std::function<void(const kube::Response&)>;
    void ask_api(const kube::Request& request, OnResponse on_response);
    void read(const std::shared_ptr<Try>& t);
    void ask(const PromiseRequest& request, const Member& member, Deadline deadline);
    const HostClock& clock() const { return *place_.net.host(place_.host).clock; }

    const Place& place_;
    const ApiAccess api_;
    Peers& peers_;
    Ledger& ledger_;
    const std::shared_ptr<Process> process_;
    const Postgres::Deliver deliver_;
};

// Kills what runs shortly before the deadline, also when the agent is frozen.
class SimulatedWarden final : public agent::Guard {
  public:
    SimulatedWarden(World& world, const HostClock& clock, Postgres& postgres, const Ledger& ledger);
    // Its agent runs, and has for long enough to have been first.
    void expect_agent(std::function<bool()> agent_was_awake) {
        agent_was_awake_ = std::move(agent_was_awake);
    }
    void dead_by(TimePoint deadline) override;
    const std::shared_ptr<Process>& process() const { return process_; }

  private:
    void arm();
    void look();

    World& world_;
    const HostClock& clock_;
    Postgres& postgres_;
    const Ledger& ledger_;
    const std::shared_ptr<Process> process_;
    std::function<bool()> agent_was_awake_;
    TimePoint deadline_ = TimePoint::max();
    std::optional<TimePoint> armed_;
};

class Container {
  public:
    // `on_exit`: the agent ended by itself.
    Container(Place place, ApiAccess api, Peers& peers, Contracts& contracts,
              std::function<void()> on_exit);

    void begin();
    // False: nobody listens.
    bool serve(const AgentRequest& request, AgentPorts::Answer answer);
    void promise(const PromiseRequest& request, const std::string& caller,
                 std::function<void(const PromiseAnswer&)> answer);

    void terminate();  // SIGTERM
    void vanish();     // SIGKILL to all of it
    void freeze();
    void thaw();
    // One of its processes is stopped by itself; while all of it is frozen nothing goes on.
    void freeze_agent();
    void thaw_agent();
    void freeze_postgres();
    void thaw_postgres();
    bool alive() const { return process_->alive(); }

    const agent::Agent& agent() const { return *agent_; }
    const std::shared_ptr<Process>& process() const { return process_; }
    Postgres& postgres() { return postgres_; }
    const Postgres& postgres() const { return postgres_; }
    const Place& place() const { return place_; }
    const Ledger& ledger() const { return ledger_; }

  private:
    struct Waiting {
        AgentPorts::Answer answer;
        Poll poll;
    };

    void deliver(agent::Event event);
    void poll(Poll poll, AgentPorts::Answer answer);
    bool answer_if_due(Waiting& waiting, bool at_end);
    void order(const Order& order, const AgentPorts::Answer& answer);
    void changed();
    void turned();
    Report report() const;

    const Place place_;
    const HostClock& clock_;
    const std::function<void()> on_exit_;
    SeededRandom random_;
    const std::shared_ptr<Process> process_;
    Ledger ledger_;
    VolumeState state_;
    Postgres postgres_;
    NetworkWays ways_;
    SimulatedWarden warden_;
    std::unique_ptr<agent::Agent> agent_;
    std::list<Waiting> waiting_;
    std::optional<TimePoint> armed_;
    std::uint64_t arming_ = 0;
    bool frozen_ = false, agent_stopped_ = false, postgres_stopped_ = false;
    TimePoint awake_since_;  // of the world
};

}  // namespace matriarch::sim
