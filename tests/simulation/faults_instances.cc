// Faults of instances: their processes, pods, hosts, volumes and clocks.
#include <algorithm>

#include "faults.h"

namespace matriarch::sim {

Faults::Heal Faults::kill_postgres() {
    auto& machine = victim();
    tell("PostgreSQL of " + machine.name.value + " is killed");
    if (machine.container) machine.container->postgres().die("signal 9, by the world");
    return {};
}

Faults::Heal Faults::kill_container() {
    auto& machine = victim();
    tell("container of " + machine.name.value + " is killed");
    around_.kubelet.kill_container(machine);
    return {};
}

Faults::Heal Faults::delete_pod() {
    auto& machine = victim();
    tell("pod of " + machine.name.value + " is deleted");
    around_.kubelet.delete_pod(machine);
    return {};
}

Faults::Heal Faults::power_off() {
    auto& machine = victim();
    if (!around_.net.host(machine.host).on) return {};
    tell("host of " + machine.name.value + " loses its power");
    around_.kubelet.power_off(machine);
    return [this, &machine] { around_.kubelet.power_on(machine); };
}

Faults::Heal Faults::freeze_container() {
    auto& machine = victim();
    Container* container = machine.container.get();
    if (container == nullptr || container->process()->frozen()) return {};
    tell("container of " + machine.name.value + " freezes");
    container->freeze();
    return [container] { container->thaw(); };
}

Faults::Heal Faults::freeze_agent() {
    auto& machine = victim();
    Container* container = machine.container.get();
    if (container == nullptr || container->process()->frozen()) return {};
    tell("agent of " + machine.name.value + " freezes");
    container->freeze_agent();
    return [container] { container->thaw_agent(); };
}

Faults::Heal Faults::freeze_postgres() {
    auto& machine = victim();
    Container* container = machine.container.get();
    if (container == nullptr || !container->process()->runs()) return {};
    tell("PostgreSQL of " + machine.name.value + " freezes");
    container->freeze_postgres();
    return [container] { container->thaw_postgres(); };
}

Faults::Heal Faults::stall_disk() {
    auto& machine = victim();
    tell("disk of " + machine.name.value + " stalls");
    around_.kubelet.stall_disk(machine);
    return [this, &machine] { around_.kubelet.disk_goes_on(machine); };
}

Faults::Heal Faults::promote_by_hand() {
    auto* machine = slave();
    if (machine == nullptr || !machine->container) return {};
    tell(machine->name.value + " is promoted by hand");
    machine->container->postgres().promote_by_hand();
    return {};
}

// Nothing can be written any more: PostgreSQL refuses rows or ends with a PANIC, and the agent
// can't store a thing.
Faults::Heal Faults::fill_disk() {
    auto& machine = victim();
    if (machine.volume.full) return {};
    tell("disk of " + machine.name.value + " is full");
    machine.volume.full = true;
    machine.volume.wal_has_room = dice_.below(2) == 0;
    return [&machine] { machine.volume.full = false; };
}

// Only a slave's, only where nobody relies on what it acknowledged, and not the last copy.
Faults::Heal Faults::lose_volume() {
    auto* machine = slave();
    if (machine == nullptr || around_.checks.loss_forbidden()) return {};
    const auto& all = around_.kubelet.machines();
    if (std::none_of(all.begin(), all.end(), [&](const auto& entry) {
            return &entry.second != machine &&
                   entry.second.volume.data.kind == agent::DataFacts::Kind::Complete;
        }))
        return {};
    tell("volume of " + machine->name.value + " is lost");
    around_.kubelet.lose_volume(*machine);
    return {};
}

// NTP, or a hand: nothing but times for people may depend on it.
Faults::Heal Faults::step_wall_clock() {
    const HostId host = any_host();
    const auto by = seconds(upto(200'000) - 100'000);
    tell("wall clock of " + around_.net.host(host).name + " is stepped by " +
         std::to_string(by.count()) + " s");
    around_.net.host(host).clock->step_wall(by);
    return {};
}

}  // namespace matriarch::sim
