// Kubelet: pods come and go as StatefulSets say: made on the instance's own host, restarted when
// their container ends, made anew under another UID when they are deleted. And the world's hand on
// containers, volumes and hosts.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "container.h"

namespace matriarch::sim {

class Kubelet final : public Neighbours, public AgentPorts, public Peers {
  public:
    struct Machine {  // an instance's place: its host and its volume outlive its pods
        InstanceName name;
        HostId host = 0;
        Volume volume;
        PodUid pod;
        std::string address;
        Json pod_template;
        bool wanted = true;  // it has a StatefulSet
        bool pod_exists = false, terminating = false;
        std::unique_ptr<Container> container;
        bool lost_volume = false;  // at any time
        std::uint64_t life = 0;    // of what was planned for the present pod or container
    };

    // `hosts`: for the instances, in the order in which they are made.
    Kubelet(World& world, Network& net, ApiAccess api, Witness& witness, Contracts& contracts,
            std::vector<HostId> hosts);

    // Neighbours, AgentPorts, Peers.
    Postgres* server_at(const std::string& address) override;
    const Volume* files_at(HostId asker, const std::string& address) override;
    HostId host_of(const std::string& address) override;
    bool serve(const std::string& address, const AgentRequest& request, Answer answer) override;
    Container* container_of(const InstanceName& instance) override;

    // Faults.
    void kill_container(Machine& machine);
    void delete_pod(Machine& machine);
    void power_off(Machine& machine);
    void power_on(Machine& machine);
    void stall_disk(Machine& machine);
    void disk_goes_on(Machine& machine);
    void lose_volume(Machine& machine);

    std::map<InstanceName, Machine>& machines() { return machines_; }
    Machine* find(const InstanceName& name);

  private:
    Machine* at(const std::string& address);
    void pods_changed(const Json* after);
    void sets_changed(const Json* before, const Json* after);
    void make_pod(Machine& machine);
    void start_container(Machine& machine);
    void start_container_soon(Machine& machine, Duration wait);
    void bury(Machine& machine);
    void exited(Machine& machine);
    void pod_gone(Machine& machine);
    void later(Machine& machine, Duration wait, void (Kubelet::*what)(Machine&));

    World& world_;
    Network& net_;
    const ApiAccess api_;
    Witness& witness_;
    Contracts& contracts_;
    std::vector<HostId> hosts_;
    std::map<InstanceName, Machine> machines_;
    std::vector<std::unique_ptr<Container>> graveyard_;
};

}  // namespace matriarch::sim
