#include "kubelet.h"

#include "operator/names.h"

namespace matriarch::sim {

Kubelet::Kubelet(World& world, Network& net, ApiAccess api, Witness& witness, Contracts& contracts,
                 std::vector<HostId> hosts)
    : world_(world),
      net_(net),
      api_(api),
      witness_(witness),
      contracts_(contracts),
      hosts_(std::move(hosts)) {
    api_.server.on_change([this](const std::string& plural, const Json* before, const Json* after) {
        if (plural == "pods") pods_changed(after);
        if (plural == "statefulsets") sets_changed(before, after);
    });
}

// A machine that was scaled away and comes back has its volume still.
void Kubelet::sets_changed(const Json* before, const Json* after) {
    const Json& set = after != nullptr ? *after : *before;
    const InstanceName name(set["metadata"]["name"].get<std::string>());
    const auto made = machines_.try_emplace(name).second;
    Machine& machine = machines_.at(name);
    machine.wanted = after != nullptr;
    if (after == nullptr) return delete_pod(machine);
    machine.pod_template = set["spec"]["template"];
    if (before != nullptr) return;
    if (made) {
        machine.name = name;
        machine.host = hosts_.at(machines_.size() - 1);
    }
    if (!machine.pod_exists)
        later(machine, world_.between(milliseconds(100), milliseconds(600)), &Kubelet::make_pod);
}

Kubelet::Machine* Kubelet::find(const InstanceName& name) {
    const auto found = machines_.find(name);
    return found == machines_.end() ? nullptr : &found->second;
}

// By address, or by the pod's name in DNS.
Kubelet::Machine* Kubelet::at(const std::string& address) {
    for (auto& [name, machine] : machines_)
        if (machine.address == address || address.starts_with(pod_name(name) + "."))
            return &machine;
    return nullptr;
}

Postgres* Kubelet::server_at(const std::string& address) {
    Machine* machine = at(address);
    return machine && machine->container ? &machine->container->postgres() : nullptr;
}

const Volume* Kubelet::files_at(HostId asker, const std::string& address) {
    Machine* machine = at(address);
    if (machine == nullptr || !machine->container) return nullptr;
    const bool answers =
        machine->container->process()->runs() && net_.open_both(asker, machine->host);
    return answers ? &machine->volume : nullptr;
}

HostId Kubelet::host_of(const std::string& address) {
    const Machine* machine = at(address);
    return machine ? machine->host : -1;
}

bool Kubelet::serve(const std::string& address, const AgentRequest& request, Answer answer) {
    Machine* machine = at(address);
    return machine && machine->container && machine->container->serve(request, std::move(answer));
}

Container* Kubelet::container_of(const InstanceName& instance) {
    Machine* machine = find(instance);
    return machine ? machine->container.get() : nullptr;
}

// --- pods -------------------------------------------------------------------------------------

// What was planned for an earlier life of the machine is dropped.
void Kubelet::later(Machine& machine, Duration wait, void (Kubelet::*what)(Machine&)) {
    world_.after(wait, [this, &machine, what, life = ++machine.life] {
        if (life == machine.life && net_.host(machine.host).on) (this->*what)(machine);
    });
}

void Kubelet::make_pod(Machine& machine) {
    if (!machine.wanted) return;
    machine.pod = PodUid("pod-" + std::to_string(world_.fresh()));
    machine.address = "10.0." + std::to_string(machine.host) + "." + std::to_string(world_.fresh());
    machine.pod_exists = true;
    machine.terminating = false;
    Json metadata = machine.pod_template.value("metadata", Json::object());
    metadata["name"] = pod_name(machine.name);
    metadata["namespace"] = "shop";
    metadata["uid"] = machine.pod.value;
    api_.server.put("pods", {{"metadata", std::move(metadata)},
                             {"spec", {{"nodeName", net_.host(machine.host).name}}},
                             {"status", {{"phase", "Pending"}}}});
    later(machine, world_.between(milliseconds(200), milliseconds(1000)),
          &Kubelet::start_container);
}

void Kubelet::start_container(Machine& machine) {
    const std::string key = "shop/" + pod_name(machine.name);
    if (const Json* pod = api_.server.find("pods", key);
        pod && !(*pod)["status"].contains("podIP")) {
        Json running = *pod;
        running["status"] = {{"phase", "Running"}, {"podIP", machine.address}};
        api_.server.put("pods", std::move(running));
    }
    bury(machine);
    world_.tell(machine.name.value, "container starts");
    Place place{world_,      net_,           machine.host, machine.address, machine.name,
                machine.pod, machine.volume, *this,        witness_};
    machine.container = std::make_unique<Container>(std::move(place), api_, *this, contracts_,
                                                    [this, &machine] { exited(machine); });
    machine.container->begin();
    if (machine.terminating) machine.container->terminate();
}

// Messages under way may name it.
void Kubelet::bury(Machine& machine) {
    if (!machine.container) return;
    machine.container->vanish();
    graveyard_.push_back(std::move(machine.container));
}

void Kubelet::exited(Machine& machine) {
    if (!machine.container || machine.container->alive()) return;
    bury(machine);
    if (machine.terminating)
        later(machine, milliseconds(50), &Kubelet::pod_gone);
    else
        later(machine, world_.between(milliseconds(500), milliseconds(1500)),
              &Kubelet::start_container);
}

void Kubelet::pods_changed(const Json* after) {
    if (after == nullptr || !(*after)["metadata"].contains("deletionTimestamp")) return;
    const auto uid = (*after)["metadata"]["uid"].get<std::string>();
    for (auto& [name, machine] : machines_) {
        if (machine.pod.value != uid || machine.terminating) continue;
        machine.terminating = true;
        if (machine.container)
            machine.container->terminate();
        else
            later(machine, milliseconds(50), &Kubelet::pod_gone);
    }
}

void Kubelet::pod_gone(Machine& machine) {
    bury(machine);
    machine.pod_exists = false;
    machine.address.clear();
    machine.pod = PodUid();
    api_.server.erase("pods", "shop/" + pod_name(machine.name));
    later(machine, world_.between(milliseconds(100), milliseconds(800)), &Kubelet::make_pod);
}

// --- faults -----------------------------------------------------------------------------------

void Kubelet::kill_container(Machine& machine) {
    if (!machine.container) return;
    bury(machine);
    if (machine.terminating)
        later(machine, milliseconds(50), &Kubelet::pod_gone);
    else
        later(machine, world_.between(milliseconds(500), milliseconds(2500)),
              &Kubelet::start_container);
}

void Kubelet::delete_pod(Machine& machine) {
    if (!machine.pod_exists) return;
    kube::Request request{.method = "DELETE",
                          .target = "/api/v1/namespaces/shop/pods/" + pod_name(machine.name)};
    api_.server.handle(request);
}

// What was not synced is lost.
void Kubelet::power_off(Machine& machine) {
    net_.host(machine.host).on = false;
    ++machine.life;
    bury(machine);
    machine.volume.data.lose_unsynced();
}

void Kubelet::power_on(Machine& machine) {
    net_.host(machine.host).on = true;
    const Duration boot = world_.between(milliseconds(500), milliseconds(3000));
    if (machine.terminating)
        later(machine, boot, &Kubelet::pod_gone);
    else if (!machine.pod_exists)
        later(machine, boot, &Kubelet::make_pod);
    else
        later(machine, boot, &Kubelet::start_container);
}

// And its container with it.
void Kubelet::lose_volume(Machine& machine) {
    kill_container(machine);
    machine.volume = Volume();
    machine.lost_volume = true;
    contracts_.forget(machine.pod);
}

void Kubelet::stall_disk(Machine& machine) {
    if (!machine.volume.stalled_since) machine.volume.stalled_since = world_.now();
}

void Kubelet::disk_goes_on(Machine& machine) {
    machine.volume.stalled_since.reset();
    if (machine.container) machine.container->postgres().volume_goes_on();
}

}  // namespace matriarch::sim
