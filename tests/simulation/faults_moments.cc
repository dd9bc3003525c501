// Faults that strike in the moment that matters: when the record is closing, when an order is under
// way, between an operator's look and its write.
#include "faults.h"

namespace matriarch::sim {
namespace {

// Paths that one fault cut, each healed once.
class Cuts {
  public:
    explicit Cuts(Network& net) : net_(net) {}
    // Nothing, once all were healed.
    void both(HostId a, HostId b) {
        if (over_) return;
        for (const auto& path : {std::pair(a, b), std::pair(b, a)})
            if (made_.insert(path).second) net_.cut(path.first, path.second);
    }
    void heal(HostId a, HostId b) {
        for (const auto& path : {std::pair(a, b), std::pair(b, a)})
            if (made_.erase(path) > 0) net_.heal(path.first, path.second);
    }
    bool over() const { return over_; }
    void heal_all() {
        over_ = true;
        for (const auto& [from, to] : made_) net_.heal(from, to);
        made_.clear();
    }

  private:
    Network& net_;
    std::set<std::pair<HostId, HostId>> made_;
    bool over_ = false;
};

}  // namespace

void Faults::when(Phase phase, Call call) {
    moments_.push_back({phase, std::move(call)});
}

// Each strikes once.
void Faults::phase_began(Phase phase) {
    std::vector<Call> due;
    std::erase_if(moments_, [&](Moment& m) {
        if (m.phase != phase) return false;
        due.push_back(std::move(m.call));
        return true;
    });
    for (auto& call : due) call();
}

// The master falls silent. When the record closes, and its mandate lasts still, it comes back, here
// and there; or its slaves can't be told to promise nothing, or are started anew and forget.
Faults::Heal Faults::cut_off_until_closing() {
    const auto& record = around_.checks.record();
    auto* master = record ? around_.kubelet.find(record->holder) : nullptr;
    if (master == nullptr) return {};
    const HostId host = master->host;
    auto cuts = std::make_shared<Cuts>(around_.net);
    const auto others = [this, host](auto&& call) {
        for (auto& [name, machine] : around_.kubelet.machines())
            if (machine.host != host) call(machine);
    };
    // Perhaps from operators first: then it renews the record by itself, without a grant; perhaps
    // from slaves too: then without promises.
    const auto alone = chance(50) ? milliseconds(1000 + upto(8000)) : milliseconds(0);
    const bool without_slaves = chance(60);
    tell(record->holder.value + " is cut off until its record is closing");
    for (std::size_t i = 0; i < around_.operators.size(); ++i)
        cuts->both(host, around_.operators.host(i));
    if (without_slaves) others([&](auto& slave) { cuts->both(host, slave.host); });
    around_.world.after(alone, [=, this] {
        for (HostId other = 0; other < static_cast<HostId>(around_.net.size()); ++other)
            if (other != host && other != around_.client_host) cuts->both(host, other);
    });

    const bool to_slaves = chance(70), to_api = chance(60), slaves_away = chance(50);
    const auto slaves_back = milliseconds(upto(1200));
    const auto api_back = chance(50) ? slaves_back : milliseconds(upto(1200));
    const auto told_late = milliseconds(300 + upto(3000));
    const auto killed_at = chance(40) ? milliseconds(200 + upto(4000)) : milliseconds(0);
    when(Phase::Closing, [=, this] {
        if (cuts->over()) return;
        if (to_slaves)
            around_.world.after(slaves_back, [others, cuts, host] {
                others([&](auto& slave) { cuts->heal(host, slave.host); });
            });
        if (to_api)
            around_.world.after(api_back, [=, this] { cuts->heal(host, around_.api_host); });
        if (slaves_away) {
            const auto each = [=, this](auto&& call) {
                for (std::size_t i = 0; i < around_.operators.size(); ++i)
                    others([&](auto& slave) { call(around_.operators.host(i), slave.host); });
            };
            tell("operators can't tell slaves");
            each([&](HostId a, HostId b) { cuts->both(a, b); });
            around_.world.after(
                told_late, [each, cuts] { each([&](HostId a, HostId b) { cuts->heal(a, b); }); });
        }
        if (killed_at > milliseconds(0))
            around_.world.after(killed_at, [others, this] {
                tell("containers of slaves are killed");
                others([this](auto& slave) { around_.kubelet.kill_container(slave); });
            });
    });
    return [cuts] { cuts->heal_all(); };
}

// The first slave was away for so long that nobody asks it any more; when it is back the master is
// not.
Faults::Heal Faults::return_to_silence() {
    const auto& record = around_.checks.record();
    if (!record || record->positions.empty()) return {};
    auto* returns = around_.kubelet.find(record->positions.front());
    if (returns == nullptr || !around_.net.host(returns->host).on) return {};
    auto cuts = std::make_shared<Cuts>(around_.net);
    tell(returns->name.value + " loses its power, to return when the master is cut off");
    around_.kubelet.power_off(*returns);
    const auto back = [this, returns] {
        if (!around_.net.host(returns->host).on) around_.kubelet.power_on(*returns);
    };
    around_.world.after(milliseconds(10500 + upto(3000)), [=, this] {
        const auto& now = around_.checks.record();
        auto* master = now ? around_.kubelet.find(now->holder) : nullptr;
        if (cuts->over() || master == nullptr || master == returns) return;
        tell(master->name.value + " is cut off");
        for (HostId other = 0; other < static_cast<HostId>(around_.net.size()); ++other)
            if (other != master->host && other != around_.client_host)
                cuts->both(master->host, other);
        back();
    });
    return [cuts, back] {
        cuts->heal_all();
        back();
    };
}

// In the middle of the next change of master, or right after it, something of it ends again.
Faults::Heal Faults::strike_the_change() {
    const Phase phase = chance(50) ? Phase::Promoting : Phase::Serving;
    const auto wait = milliseconds(upto(1500));
    const int what = upto(4);
    const bool of_slave = chance(40);
    tell("something will end when a master is " + std::string(to_string(phase)));
    when(phase, [=, this] {
        around_.world.after(wait, [=, this] {
            const auto& record = around_.checks.record();
            const bool slaves = of_slave && !record->positions.empty();
            auto* machine =
                around_.kubelet.find(slaves ? record->positions.front() : record->holder);
            if (over_ || machine == nullptr || !machine->container) return;
            tell(machine->name.value + (what < 2 ? ": PostgreSQL" : ": the container") +
                 " is killed while the master changes");
            if (what < 2)
                machine->container->postgres().die("signal 9, by the world");
            else
                around_.kubelet.kill_container(*machine);
        });
    });
    return {};
}

// A slave gets nothing more, then all others lose their power at once: what it lacks was
// acknowledged.
Faults::Heal Faults::leave_who_lags() {
    auto* lags = slave();
    const auto& record = around_.checks.record();
    auto* master = record ? around_.kubelet.find(record->holder) : nullptr;
    if (lags == nullptr || master == nullptr || lags == master) return {};
    auto cuts = std::make_shared<Cuts>(around_.net);
    auto off = std::make_shared<std::vector<Kubelet::Machine*>>();
    tell(lags->name.value + " gets nothing more of " + master->name.value +
         ", and will be left alone");
    cuts->both(lags->host, master->host);
    around_.world.after(milliseconds(200 + upto(2500)), [=, this] {
        if (cuts->over()) return;
        cuts->heal(lags->host, master->host);
        for (auto& [name, machine] : around_.kubelet.machines()) {
            if (&machine == lags || !around_.net.host(machine.host).on) continue;
            tell("host of " + name.value + " loses its power");
            around_.kubelet.power_off(machine);
            off->push_back(&machine);
        }
    });
    return [=, this] {
        cuts->heal_all();
        for (auto* machine : *off) around_.kubelet.power_on(*machine);
    };
}

// The network delivers once more what it delivered before.
Faults::Heal Faults::repeat_messages() {
    const auto percent = upto(60) + 10;
    tell(std::to_string(percent) + " % of messages to agents come again, later");
    around_.net.repeat(percent);
    return [this] { around_.net.repeat(0); };
}

Faults::Heal Faults::end_operator() {
    const auto i = leader();
    if (around_.operators.at(i) == nullptr) return {};
    tell("operator-" + std::to_string(i + 1) + " is told to end");
    around_.operators.at(i)->terminate();
    return {};
}

// It goes on with what it had decided long ago.
Faults::Heal Faults::freeze_operator_at_step() {
    const int n = upto(8) + 1;
    const auto lasts = milliseconds(1000 + upto(11000));
    tell("an operator will freeze at step " + std::to_string(n) + " from now");
    around_.operators.freeze_at_step(n, lasts);
    return {};
}

}  // namespace matriarch::sim
