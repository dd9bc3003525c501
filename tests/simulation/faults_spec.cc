// What users do at any moment: no faults, but they meet some.
#include <algorithm>

#include "faults.h"

namespace matriarch::sim {

bool Faults::edit(const std::function<void(Json& spec)>& change) {
    const Json* cluster = around_.api.find("postgresclusters", "shop/orders");
    if (cluster == nullptr) return false;
    Json wanted = *cluster;
    change(wanted["spec"]);
    around_.api.put("postgresclusters", std::move(wanted));
    return true;
}

Faults::Heal Faults::switchover() {
    auto* machine = slave();
    if (machine == nullptr) return {};
    tell("switchover to " + machine->name.value + " is requested");
    edit([&](Json& spec) {
        spec["failover"]["target"] = machine->name.value;
        spec["failover"]["requestId"] = "request-" + std::to_string(++requests_);
    });
    return {};
}

Faults::Heal Faults::scale() {
    const int slaves = upto(3) + 1;
    tell(std::to_string(slaves) + " slaves are wanted");
    edit([&](Json& spec) {
        spec["slaves"] = slaves;
        auto& replication = spec["replication"];
        if (replication.value("synchronousSlaves", 1) > slaves)
            replication["synchronousSlaves"] = slaves;
    });
    return {};
}

Faults::Heal Faults::change_mandate() {
    const int mandate = upto(5) + 2;
    tell("mandates of " + std::to_string(mandate) + " s are wanted");
    edit([&](Json& spec) { spec["failover"]["mandateSeconds"] = mandate; });
    return {};
}

Faults::Heal Faults::change_replication() {
    constexpr const char* kModes[] = {"async", "sync", "quorum"};
    const std::string mode = kModes[upto(std::size(kModes))];
    const bool two = chance(30);
    if (mode == "async") around_.checks.allow_loss();
    tell("replication is to be " + mode + (two ? ", by two slaves" : ""));
    edit([&](Json& spec) {
        spec["replication"]["mode"] = mode;
        spec["replication"]["synchronousSlaves"] = std::min(two ? 2 : 1, spec.value("slaves", 2));
    });
    return {};
}

Faults::Heal Faults::change_weights() {
    const int weight = upto(100) + 1;
    tell("slave1 gets weight " + std::to_string(weight));
    edit([&](Json& spec) { spec["routing"]["weights"] = {{"slave1", weight}}; });
    return {};
}

}  // namespace matriarch::sim
