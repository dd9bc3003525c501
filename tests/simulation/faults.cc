#include "faults.h"

#include <algorithm>

#include "wraps.h"

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
    watch_steps([this](std::string_view step) { reached(step); });
    api_.server.on_event([this](const std::string& plural) {
        for (const auto& process : processes_)
            if (process) process->event(plural);
    });
}

Operators::~Operators() {
    watch_steps({});
}

// The process ends in the middle, as by SIGKILL.
void Operators::reached(std::string_view step) {
    world_.count("step: " + std::string(step));
    for (const auto& process : processes_) {
        if (!process || !process->works_here()) continue;
        if (steps_to_freeze_ > 0 && --steps_to_freeze_ == 0) {
            world_.tell("FAULT", "the operator freezes at " + std::string(step));
            world_.after(frozen_for_, [frozen = process.get()] { frozen->thaw(); });
            return process->freeze_here();
        }
        if (steps_to_live_ == 0 || --steps_to_live_ > 0) return;
        world_.tell("FAULT", "the operator dies at " + std::string(step));
        process->end_here();
    }
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
    {"disk full", Profile::All, 2, seconds(12), &Faults::fill_disk},
    {"volume lost", Profile::All, 1, milliseconds(1), &Faults::lose_volume},
    {"wall clock stepped", Profile::Clocks, 1, milliseconds(1), &Faults::step_wall_clock},
    {"cut off", Profile::Network, 4, seconds(15), &Faults::cut_off},
    {"pair cut", Profile::Network, 4, seconds(15), &Faults::cut_pair},
    {"cut one way", Profile::Network, 4, seconds(15), &Faults::cut_one_way},
    {"slow network", Profile::Network, 2, seconds(10), &Faults::slow_network},
    {"lossy network", Profile::Network, 2, seconds(10), &Faults::lossy_network},
    {"cut off until closing", Profile::Network, 4, seconds(20), &Faults::cut_off_until_closing},
    {"who lags is left", Profile::Network, 2, seconds(20), &Faults::leave_who_lags},
    {"returns to silence", Profile::Network, 3, seconds(40), &Faults::return_to_silence},
    {"messages repeated", Profile::Orders, 3, seconds(20), &Faults::repeat_messages},
    {"api down", Profile::Operator, 3, seconds(15), &Faults::api_down},
    {"answers lost", Profile::Operator, 3, seconds(15), &Faults::lost_answers},
    {"old watches", Profile::Operator, 2, seconds(15), &Faults::old_watches},
    {"compaction", Profile::Operator, 1, milliseconds(1), &Faults::compaction},
    {"backup restored", Profile::Restore, 6, seconds(40), &Faults::restore_backup},
    {"operator killed", Profile::Operator, 3, milliseconds(1), &Faults::kill_operator},
    {"operator killed at a step", Profile::Operator, 4, milliseconds(1),
     &Faults::kill_operator_at_step},
    {"operator ends", Profile::Orders, 2, milliseconds(1), &Faults::end_operator},
    {"operator frozen at a step", Profile::Orders, 4, milliseconds(1),
     &Faults::freeze_operator_at_step},
    {"change struck", Profile::Orders, 4, milliseconds(1), &Faults::strike_the_change},
    {"operator frozen", Profile::Operator, 4, seconds(15), &Faults::freeze_operator},
    {"promoted by hand", Profile::All, 1, milliseconds(1), &Faults::promote_by_hand},
    {"switchover", Profile::Spec, 3, milliseconds(1), &Faults::switchover},
    {"scaled", Profile::Spec, 2, milliseconds(1), &Faults::scale},
    {"mandate changed", Profile::Spec, 1, milliseconds(1), &Faults::change_mandate},
    {"replication changed", Profile::Spec, 2, milliseconds(1), &Faults::change_replication},
    {"weights changed", Profile::Spec, 1, milliseconds(1), &Faults::change_weights},
};

namespace {

constexpr std::pair<std::string_view, Profile> kProfiles[] = {
    {"all", Profile::All},         {"postgres", Profile::PostgresOnly},
    {"network", Profile::Network}, {"operator", Profile::Operator},
    {"orders", Profile::Orders},   {"spec", Profile::Spec},
    {"clocks", Profile::Clocks},   {"restore", Profile::Restore},
};

}  // namespace

std::optional<Profile> profile_of(std::string_view name) {
    for (const auto& [text, profile] : kProfiles)
        if (text == name) return profile;
    return {};
}

std::string profile_names() {
    std::string out;
    for (const auto& [text, profile] : kProfiles)
        out += (out.empty() ? "" : ", ") + std::string(text);
    return out;
}

Faults::Faults(Surroundings around, Profile profile, std::optional<std::set<std::uint64_t>> only)
    : around_(std::move(around)),
      profile_(profile),
      only_(std::move(only)),
      random_(around_.world.random().next()) {
    around_.checks.on_phase([this](Phase phase) { phase_began(phase); });
    constexpr milliseconds kPauses[] = {milliseconds(500), seconds(2), seconds(6), seconds(20)};
    longest_pause_ = 2 * kPauses[random_.below(std::size(kPauses))];
}

TimePoint Faults::after(TimePoint last) {
    const auto span = static_cast<std::uint64_t>(longest_pause_.count());
    return last + milliseconds(10) + Duration(static_cast<std::int64_t>(random_.below(span)));
}

void Faults::begin(TimePoint until) {
    World& world = around_.world;
    std::uint64_t number = 0;
    for (TimePoint at = after(world.now()); at < until; at = after(at)) {
        const Fault& fault = choose();
        const auto most = static_cast<std::uint64_t>(fault.longest.count());
        const Planned planned{
            ++number, &fault,
            milliseconds(50) + Duration(static_cast<std::int64_t>(random_.below(most))),
            random_.next()};
        if (!only_ || only_->contains(number)) world.at(at, [this, planned] { apply(planned); });
    }
    world.at(until, [this] { heal_all(); });
}

void Faults::heal_all() {
    moments_.clear();
    for (auto& [number, heal] : std::exchange(healing_, {})) heal();
    over_ = true;
    tell("the last one is healed");
}

const Faults::Fault& Faults::choose() {
    // PostgreSQL's death belongs to every profile: without it nothing else matters much.
    const auto fits = [this](const Fault& f) {
        return (profile_ == Profile::All && f.profile != Profile::Restore) ||
               f.profile == profile_ || f.profile == Profile::PostgresOnly;
    };
    int total = 0;
    for (const auto& fault : kFaults) total += fits(fault) ? fault.weight : 0;
    auto left = static_cast<int>(random_.below(static_cast<std::uint64_t>(total)));
    for (const auto& fault : kFaults) {
        left -= fits(fault) ? fault.weight : 0;
        if (left < 0) return fault;
    }
    return kFaults.front();
}

void Faults::apply(const Planned& planned) {
    const std::string name(planned.fault->name);
    around_.world.count("faults");
    around_.world.count("fault: " + name);
    begun_ = planned.number;
    dice_ = SeededRandom(planned.dice);
    Heal heal = (this->*planned.fault->apply)();
    if (!heal) return;
    healing_[planned.number] = std::move(heal);
    around_.world.after(planned.lasts, [this, number = planned.number, name] {
        const auto found = healing_.find(number);
        if (found == healing_.end()) return;
        const Heal ends = std::move(found->second);
        healing_.erase(found);
        tell(name + ": healed");
        ends();
    });
}

// --- who --------------------------------------------------------------------------------------

Kubelet::Machine& Faults::victim() {
    auto& machines = around_.kubelet.machines();
    const auto& record = around_.checks.record();
    if (record && chance(60))
        if (auto* master = around_.kubelet.find(record->holder)) return *master;
    auto found = machines.begin();
    std::advance(found, static_cast<std::ptrdiff_t>(dice_.below(machines.size())));
    return found->second;
}

Kubelet::Machine* Faults::slave() {
    const auto& record = around_.checks.record();
    if (!record || record->positions.empty()) return nullptr;
    return around_.kubelet.find(record->positions[dice_.below(record->positions.size())]);
}

std::size_t Faults::leader() {
    auto& operators = around_.operators;
    for (std::size_t i = 0; i < operators.size(); ++i)
        if (operators.at(i) && operators.at(i)->leads() && chance(75)) return i;
    return dice_.below(operators.size());
}

HostId Faults::any_host() {
    return chance(60) ? victim().host : static_cast<HostId>(dice_.below(around_.net.size()));
}

}  // namespace matriarch::sim
