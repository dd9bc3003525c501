// Faults: what goes wrong, from the seed. Each begins, lasts, and is healed.
//
// To add one: a function that does it and gives back how it heals, and a line in kFaults. It takes
// chance from the fault's own dice.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
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
    ~Operators();

    std::size_t size() const { return processes_.size(); }
    OperatorProcess* at(std::size_t i) { return processes_[i].get(); }
    HostId host(std::size_t i) const { return hosts_[i]; }
    void kill(std::size_t i);
    // The one that reaches the n-th step from now, of those that a change of master is made of
    // (operator/kill_points.h), dies there.
    void kill_at_step(int n) { steps_to_live_ = n; }
    // Likewise, but it freezes there for so long.
    void freeze_at_step(int n, Duration lasts) {
        steps_to_freeze_ = n;
        frozen_for_ = lasts;
    }

  private:
    void start(std::size_t i);
    void reached(std::string_view step);

    World& world_;
    Network& net_;
    const ApiAccess api_;
    AgentPorts& ports_;
    const std::vector<HostId> hosts_;
    std::vector<std::unique_ptr<OperatorProcess>> processes_;
    int steps_to_live_ = 0, steps_to_freeze_ = 0;  // 0: for ever
    Duration frozen_for_{};
    std::vector<std::unique_ptr<OperatorProcess>> graveyard_;  // messages under way name them
};

struct Surroundings {
    World& world;
    Network& net;
    ApiServer& api;
    ApiWeather& weather;
    Kubelet& kubelet;
    Operators& operators;
    Checks& checks;
    HostId api_host, client_host;
};

// What a seed is about; All has every fault of the others but Restore's. In Orders they come late,
// or again; in Clocks one clock runs beyond the limit.
enum class Profile { All, PostgresOnly, Network, Operator, Orders, Spec, Clocks, Restore };
std::optional<Profile> profile_of(std::string_view name);
std::string profile_names();

class Faults {
  public:
    // Where `only` names some by their numbers, the others do not happen; those stay as they are.
    Faults(Surroundings around, Profile profile, std::optional<std::set<std::uint64_t>> only);

    // From now on, until then; all are healed at the end.
    void begin(TimePoint until);
    bool over() const { return over_; }
    // The number of the last one that began.
    std::uint64_t begun() const { return begun_; }

  private:
    using Heal = Call;
    struct Fault {
        std::string_view name;
        Profile profile;  // besides All
        int weight;
        Duration longest;
        Heal (Faults::*apply)();
    };
    // When, what, for how long, and with which dice: drawn before the first one happens, so that a
    // run without one of them has the others as they were.
    struct Planned {
        std::uint64_t number = 0;
        const Fault* fault = nullptr;
        Duration lasts{};
        std::uint64_t dice = 0;
    };
    static const std::vector<Fault> kFaults;

    TimePoint after(TimePoint last);
    const Fault& choose();
    void apply(const Planned& planned);
    void heal_all();
    void freeze_all_operators(Duration lasts);
    Kubelet::Machine& victim();  // the master more often than not
    Kubelet::Machine* slave();
    std::size_t leader();
    HostId any_host();
    bool chance(int percent) { return dice_.below(100) < static_cast<std::uint64_t>(percent); }
    int upto(int most) { return static_cast<int>(dice_.below(static_cast<std::uint64_t>(most))); }
    void tell(const std::string& what) { around_.world.tell("FAULT", what); }
    // What happens when the record's phase becomes this one, once.
    void when(Phase phase, Call call);
    void phase_began(Phase phase);
    // Changes the spec as a user does; false: there is no cluster.
    bool edit(const std::function<void(Json& spec)>& change);

    // faults_instances.cc
    Heal kill_postgres();
    Heal kill_container();
    Heal delete_pod();
    Heal power_off();
    Heal freeze_container();
    Heal freeze_agent();
    Heal freeze_postgres();
    Heal stall_disk();
    Heal fill_disk();
    Heal lose_volume();
    Heal promote_by_hand();
    Heal step_wall_clock();
    // faults_around.cc
    Heal cut_off();
    Heal cut_pair();
    Heal cut_one_way();
    Heal slow_network();
    Heal lossy_network();
    Heal api_down();
    Heal lost_answers();
    Heal old_watches();
    Heal compaction();
    Heal restore_backup();
    Heal kill_operator();
    Heal kill_operator_at_step();
    Heal freeze_operator();
    // faults_moments.cc
    Heal cut_off_until_closing();
    Heal leave_who_lags();
    Heal return_to_silence();
    Heal strike_the_change();
    Heal repeat_messages();
    Heal end_operator();
    Heal freeze_operator_at_step();
    // faults_spec.cc
    Heal switchover();
    Heal scale();
    Heal change_mandate();
    Heal change_replication();
    Heal change_weights();

    struct Moment {
        Phase phase;
        Call call;
    };

    const Surroundings around_;
    const Profile profile_;
    const std::optional<std::set<std::uint64_t>> only_;
    SeededRandom random_;   // of the plan
    SeededRandom dice_{0};  // of the fault that begins
    Duration longest_pause_;
    bool over_ = false;
    std::uint64_t begun_ = 0, requests_ = 0;
    std::map<std::uint64_t, Heal> healing_;
    std::vector<Moment> moments_;
};

}  // namespace matriarch::sim
