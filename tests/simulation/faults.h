// Faults: what goes wrong, from the seed. Each begins, lasts, and is healed.
//
// To add one: a function that does it and gives back how it heals, and a line in kFaults.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api_server.h"
#include "checks.h"
#include "kubelet.h"
#include "network.h"
#include "operator_process.h"

namespace matriarch::sim {

// The operators' pods: one process each, made anew when it ends.
class Operators {
  public:
    Operators(World& world, Network& net, ApiAccess api, AgentPorts& ports,
              std::vector<HostId> hosts);

    std::size_t size() const { return processes_.size(); }
    OperatorProcess* at(std::size_t i) { return processes_[i].get(); }
    HostId host(std::size_t i) const { return hosts_[i]; }
    void kill(std::size_t i);

  private:
    void start(std::size_t i);

    World& world_;
    Network& net_;
    const ApiAccess api_;
    AgentPorts& ports_;
    const std::vector<HostId> hosts_;
    std::vector<std::unique_ptr<OperatorProcess>> processes_;
    std::vector<std::unique_ptr<OperatorProcess>> graveyard_;  // messages under way name them
};

struct Surroundings {
    World& world;
    Network& net;
    ApiServer& api;
    ApiWeather& weather;
    Kubelet& kubelet;
    Operators& operators;
    const Checks& checks;
    HostId api_host, client_host;
};

enum class Profile { All, PostgresOnly, Network, Operator };
std::optional<Profile> profile_of(std::string_view name);

class Faults {
  public:
    Faults(Surroundings around, Profile profile);

    // From now on, until then; all are healed at the end.
    void begin(TimePoint until);
    bool over() const { return over_; }

  private:
    using Heal = Call;
    struct Fault {
        std::string_view name;
        Profile profile;  // besides All
        int weight;
        Duration longest;
        Heal (Faults::*apply)();
    };
    static const std::vector<Fault> kFaults;

    void next();
    void apply(const Fault& fault);
    const Fault& choose();
    Kubelet::Machine& victim();  // the master more often than not
    Kubelet::Machine* slave();
    std::size_t leader();
    HostId any_host();
    void tell(const std::string& what) { around_.world.tell("FAULT", what); }

    Heal kill_postgres();
    Heal kill_container();
    Heal delete_pod();
    Heal power_off();
    Heal freeze_container();
    Heal freeze_agent();
    Heal freeze_postgres();
    Heal stall_disk();
    Heal cut_off();
    Heal cut_pair();
    Heal cut_one_way();
    Heal slow_network();
    Heal lossy_network();
    Heal api_down();
    Heal lost_answers();
    Heal old_watches();
    Heal compaction();
    Heal kill_operator();
    Heal freeze_operator();
    Heal promote_by_hand();
    Heal switchover();

    const Surroundings around_;
    const Profile profile_;
    TimePoint until_;
    Duration longest_pause_;
    bool over_ = false;
    std::uint64_t number_ = 0, requests_ = 0;
    std::map<std::uint64_t, Heal> healing_;
};

}  // namespace matriarch::sim
