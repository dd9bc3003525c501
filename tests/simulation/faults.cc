#include "faults.h"

#include <algorithm>

namespace matriarch::sim {

// --- operators --------------------------------------------------------------------------------

Operators::Operators(World& world, Network& net, ApiAccess api, AgentPorts& ports,
                     std::vector<HostId> hosts)
    : world_(world),
      net_(net),
      api_(api),
      ports_(ports),
      hosts_(std::move(hosts)),
      processes_(hosts_.size()) {
    for (std::size_t i = 0; i < hosts_.size(); ++i) start(i);
    api_.server.on_event([this](const std::string& plural) {
        for (const auto& process : processes_)
            if (process) process->event(plural);
    });
}

void Operators::start(std::size_t i) {
    OperatorProcess::Surroundings around{
        world_,      net_,         hosts_[i], api_.host,
        api_.server, api_.weather, ports_,    "operator-" + std::to_string(i + 1)};
    processes_[i] = std::make_unique<OperatorProcess>(std::move(around), [this, i] { kill(i); });
}

void Operators::kill(std::size_t i) {
    if (!processes_[i]) return;
    processes_[i]->kill();
    graveyard_.push_back(std::move(processes_[i]));
    world_.after(world_.between(milliseconds(500), milliseconds(3000)), [this, i] { start(i); });
}

// --- which, when ------------------------------------------------------------------------------

const std::vector<Faults::Fault> Faults::kFaults = {
    {"postgres killed", Profile::PostgresOnly, 6, milliseconds(1), &Faults::kill_postgres},
    {"container killed", Profile::All, 4, milliseconds(1), &Faults::kill_container},
    {"pod deleted", Profile::All, 3, milliseconds(1), &Faults::delete_pod},
    {"power off", Profile::All, 4, seconds(25), &Faults::power_off},
    {"container frozen", Profile::All, 4, seconds(12), &Faults::freeze_container},
    {"agent frozen", Profile::All, 3, seconds(8), &Faults::freeze_agent},
    {"postgres frozen", Profile::All, 3, seconds(8), &Faults::freeze_postgres},
    {"disk stalled", Profile::All, 2, seconds(8), &Faults::stall_disk},
    {"cut off", Profile::Network, 4, seconds(15), &Faults::cut_off},
    {"pair cut", Profile::Network, 4, seconds(15), &Faults::cut_pair},
    {"cut one way", Profile::Network, 4, seconds(15), &Faults::cut_one_way},
    {"slow network", Profile::Network, 2, seconds(10), &Faults::slow_network},
    {"lossy network", Profile::Network, 2, seconds(10), &Faults::lossy_network},
    {"api down", Profile::Operator, 3, seconds(15), &Faults::api_down},
    {"answers lost", Profile::Operator, 3, seconds(15), &Faults::lost_answers},
    {"old watches", Profile::Operator, 2, seconds(15), &Faults::old_watches},
    {"compaction", Profile::Operator, 1, milliseconds(1), &Faults::compaction},
    {"operator killed", Profile::Operator, 5, milliseconds(1), &Faults::kill_operator},
    {"operator frozen", Profile::Operator, 4, seconds(15), &Faults::freeze_operator},
    {"promoted by hand", Profile::All, 1, milliseconds(1), &Faults::promote_by_hand},
    {"switchover", Profile::All, 3, milliseconds(1), &Faults::switchover},
};

std::optional<Profile> profile_of(std::string_view name) {
    if (name == "all") return Profile::All;
    if (name == "postgres") return Profile::PostgresOnly;
    if (name == "network") return Profile::Network;
    if (name == "operator") return Profile::Operator;
    return {};
}

Faults::Faults(Surroundings around, Profile profile)
    : around_(std::move(around)), profile_(profile) {
    constexpr milliseconds kPauses[] = {milliseconds(500), seconds(2), seconds(6), seconds(20)};
    longest_pause_ = 2 * kPauses[around_.world.random().below(std::size(kPauses))];
}

void Faults::begin(TimePoint until) {
    until_ = until;
    next();
}

void Faults::next() {
    World& world = around_.world;
    world.after(world.between(milliseconds(10), longest_pause_), [this] {
        if (around_.world.now() < until_) {
            apply(choose());
            return next();
        }
        for (auto& [number, heal] : std::exchange(healing_, {})) heal();
        over_ = true;
        tell("the last one is healed");
    });
}

const Faults::Fault& Faults::choose() {
    // PostgreSQL's death belongs to every profile: without it nothing else matters much.
    const auto fits = [this](const Fault& f) {
        return profile_ == Profile::All || f.profile == profile_ ||
               f.profile == Profile::PostgresOnly;
    };
    int total = 0;
    for (const auto& fault : kFaults) total += fits(fault) ? fault.weight : 0;
    auto left = static_cast<int>(around_.world.random().below(static_cast<std::uint64_t>(total)));
    for (const auto& fault : kFaults) {
        left -= fits(fault) ? fault.weight : 0;
        if (left < 0) return fault;
    }
    return kFaults.front();
}

void Faults::apply(const Fault& fault) {
    around_.world.count("faults");
    around_.world.count("fault: " + std::string(fault.name));
    const auto number = ++number_;
    Heal heal = (this->*fault.apply)();
    if (!heal) return;
    healing_[number] = std::move(heal);
    const Duration lasts = around_.world.between(milliseconds(50), fault.longest);
    around_.world.after(lasts, [this, number, name = fault.name] {
        const auto found = healing_.find(number);
        if (found == healing_.end()) return;
        const Heal ends = std::move(found->second);
        healing_.erase(found);
        tell(std::string(name) + ": healed");
        ends();
    });
}

Kubelet::Machine& Faults::victim() {
    auto& machines = around_.kubelet.machines();
    const auto& record = around_.checks.record();
    if (record && around_.world.chance(60))
        if (auto* master = around_.kubelet.find(record->holder)) return *master;
    auto found = machines.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(around_.world.random().below(machines.size())));
    return found->second;
}

Kubelet::Machine* Faults::slave() {
    const auto& record = around_.checks.record();
    if (!record || record->positions.empty()) return nullptr;
    const auto n = around_.world.random().below(record->positions.size());
    return around_.kubelet.find(record->positions[n]);
}

std::size_t Faults::leader() {
    auto& operators = around_.operators;
    for (std::size_t i = 0; i < operators.size(); ++i)
        if (operators.at(i) && operators.at(i)->leads() && around_.world.chance(75)) return i;
    return around_.world.random().below(operators.size());
}

HostId Faults::any_host() {
    return around_.world.chance(60)
               ? victim().host
               : static_cast<HostId>(around_.world.random().below(around_.net.size()));
}

// --- instances --------------------------------------------------------------------------------

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
    container->postgres().freeze();
    return [container] { container->postgres().thaw(); };
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
    (void)machine->container->postgres().promote();
    return {};
}

Faults::Heal Faults::switchover() {
    const Json* cluster = around_.api.find("postgresclusters", "shop/orders");
    auto* machine = slave();
    if (cluster == nullptr || machine == nullptr) return {};
    tell("switchover to " + machine->name.value + " is requested");
    Json wanted = *cluster;
    wanted["spec"]["failover"]["target"] = machine->name.value;
    wanted["spec"]["failover"]["requestId"] = "request-" + std::to_string(++requests_);
    around_.api.put("postgresclusters", std::move(wanted));
    return {};
}

// --- network ----------------------------------------------------------------------------------

Faults::Heal Faults::cut_off() {
    const HostId host = any_host();
    Network& net = around_.net;
    // A master that only its clients can reach is the one to fear.
    const HostId spared = around_.world.chance(60) ? around_.client_host : host;
    tell(net.host(host).name + " is cut off" + (spared == host ? "" : ", but not from clients"));
    const auto each = [&net, host, spared](auto&& call) {
        for (HostId other = 0; other < static_cast<HostId>(net.size()); ++other)
            if (other != host && other != spared) {
                call(host, other);
                call(other, host);
            }
    };
    each([&net](HostId a, HostId b) { net.cut(a, b); });
    return [&net, each] { each([&net](HostId a, HostId b) { net.heal(a, b); }); };
}

Faults::Heal Faults::cut_pair() {
    const HostId a = any_host(), b = any_host();
    if (a == b) return {};
    Network& net = around_.net;
    tell(net.host(a).name + " and " + net.host(b).name + " are cut from each other");
    net.cut(a, b);
    net.cut(b, a);
    return [&net, a, b] {
        net.heal(a, b);
        net.heal(b, a);
    };
}

Faults::Heal Faults::cut_one_way() {
    const HostId a = any_host(), b = any_host();
    if (a == b) return {};
    Network& net = around_.net;
    tell("nothing of " + net.host(a).name + " reaches " + net.host(b).name);
    net.cut(a, b);
    return [&net, a, b] { net.heal(a, b); };
}

Faults::Heal Faults::slow_network() {
    const auto most = milliseconds(around_.world.random().below(600) + 20);
    tell("messages take up to " + std::to_string(most.count()) + " ms");
    around_.net.slow(most);
    return [this] { around_.net.slow(milliseconds(2)); };
}

Faults::Heal Faults::lossy_network() {
    const auto percent = static_cast<int>(around_.world.random().below(30)) + 1;
    tell(std::to_string(percent) + " % of messages are lost");
    around_.net.lose(percent);
    return [this] { around_.net.lose(0); };
}

// --- API and operators ------------------------------------------------------------------------

Faults::Heal Faults::api_down() {
    tell("the API is down");
    around_.weather.down = true;
    return [this] { around_.weather.down = false; };
}

Faults::Heal Faults::lost_answers() {
    around_.weather.lost_answers = static_cast<int>(around_.world.random().below(40)) + 5;
    around_.weather.sent_twice = static_cast<int>(around_.world.random().below(40));
    tell("the API's answers get lost, requests are sent twice");
    return [this] { around_.weather.lost_answers = around_.weather.sent_twice = 0; };
}

Faults::Heal Faults::old_watches() {
    around_.weather.watch_delay = milliseconds(around_.world.random().below(3000) + 100);
    tell("watches lag by up to " + std::to_string(to_ms(around_.weather.watch_delay)) + " ms");
    return [this] { around_.weather.watch_delay = milliseconds(20); };
}

Faults::Heal Faults::compaction() {
    tell("the API forgets its events");
    around_.api.compact();
    return {};
}

Faults::Heal Faults::kill_operator() {
    const auto i = leader();
    tell("operator-" + std::to_string(i + 1) + " is killed");
    around_.operators.kill(i);
    return {};
}

Faults::Heal Faults::freeze_operator() {
    const auto i = leader();
    OperatorProcess* process = around_.operators.at(i);
    if (process == nullptr || process->frozen()) return {};
    tell("operator-" + std::to_string(i + 1) + " freezes");
    process->freeze();
    return [this, i, process] {
        if (around_.operators.at(i) == process) process->thaw();
    };
}

}  // namespace matriarch::sim
