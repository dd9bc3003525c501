// Faults of what instances live in: network, API, operators.
#include "faults.h"

namespace matriarch::sim {

// --- network ----------------------------------------------------------------------------------

Faults::Heal Faults::cut_off() {
    const HostId host = any_host();
    Network& net = around_.net;
    // A master that only its clients can reach is the one to fear.
    const HostId spared = chance(60) ? around_.client_host : host;
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
    const auto most = milliseconds(upto(600) + 20);
    tell("messages take up to " + std::to_string(most.count()) + " ms");
    around_.net.slow(most);
    return [this] { around_.net.slow(milliseconds(2)); };
}

Faults::Heal Faults::lossy_network() {
    const auto percent = upto(30) + 1;
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
    around_.weather.lost_answers = upto(40) + 5;
    around_.weather.sent_twice = upto(40);
    tell("the API's answers get lost, requests are sent twice");
    return [this] { around_.weather.lost_answers = around_.weather.sent_twice = 0; };
}

Faults::Heal Faults::old_watches() {
    around_.weather.watch_delay = milliseconds(upto(3000) + 100);
    tell("watches lag by up to " + std::to_string(to_ms(around_.weather.watch_delay)) + " ms");
    return [this] { around_.weather.watch_delay = milliseconds(20); };
}

Faults::Heal Faults::compaction() {
    tell("the API forgets its events");
    around_.api.compact();
    return {};
}

Faults::Heal Faults::restore_backup() {
    tell("the API is backed up, to be restored later");
    auto backup = std::make_shared<ApiServer::Backup>(around_.api.back_up());
    const bool nobody_leads = chance(50);
    const auto lasts = milliseconds(1000 + upto(8000));
    return [this, backup, nobody_leads, lasts] {
        if (nobody_leads) freeze_all_operators(lasts);
        around_.checks.note_restore();
        around_.api.restore(*backup);
    };
}

void Faults::freeze_all_operators(Duration lasts) {
    tell("all operators freeze");
    for (std::size_t i = 0; i < around_.operators.size(); ++i) {
        OperatorProcess* process = around_.operators.at(i);
        if (process == nullptr || process->frozen()) continue;
        process->freeze();
        around_.world.after(lasts, [process] { process->thaw(); });
    }
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

Faults::Heal Faults::kill_operator_at_step() {
    const int n = upto(8) + 1;
    tell("an operator will die at step " + std::to_string(n) + " from now");
    around_.operators.kill_at_step(n);
    return {};
}

}  // namespace matriarch::sim
