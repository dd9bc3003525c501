// Where reads go, and which settings of the routing make no sense.
#include "decide/findings.h"
#include "decide/text.h"

namespace matriarch::decide {
namespace {

std::string why_not(const SlaveRoute& slave, const RoutingSpec& routing) {
    switch (slave.state) {
        case RouteState::Lagging:
            return "further behind than spec.routing.maxLagMs (" +
                   std::to_string(routing.max_lag.count()) + ")";
        case RouteState::Down:
            return "does not answer, or does not run";
        case RouteState::Cloning:
            return "is being cloned";
        case RouteState::Joining:
            return "has not been well for spec.routing.holdSeconds (" +
                   std::to_string(routing.hold.count()) + ") yet";
        case RouteState::Conflict:
            return "its replay waits for queries that run on it: end them, or lower "
                   "max_standby_streaming_delay in spec.postgresql.slaveParameters";
        case RouteState::Ready:
            break;
    }
    return "spec.routing.weights." + position_name(slave.position) + " is 0";
}

std::string where_instead(const Facts& f) {
    const auto& routing = f.seen.spec.routing;
    if (!routing.fallback_to_master && routing.master_weight() == 0)
        return "reads go nowhere, as spec.routing.fallbackToMaster is false: ";
    return f.seen.published->master ? "reads go to the master: "
                                    : "reads go nowhere until there is a master: ";
}

}  // namespace

std::optional<Finding> about_reads(const Facts& f) {
    const auto& routing = f.seen.spec.routing;
    const std::string type = "ReadsRouted";
    if (!routing.ignored.empty())
        return Finding{type, false, "SettingsIgnored", join(routing.ignored)};
    if (!f.seen.published || f.seen.published->slaves.empty()) return {};
    std::vector<std::string> out;
    for (const auto& slave : f.seen.published->slaves)
        if (!takes_reads(slave))
            out.push_back(slave.instance.value + ": " + why_not(slave, routing));
    const auto all = f.seen.published->slaves.size();
    if (out.size() == all) return Finding{type, false, "NoSlaveFit", where_instead(f) + join(out)};
    return Finding{type, true, out.empty() ? "ToAllSlaves" : "ToSomeSlaves",
                   "reads go to " + std::to_string(all - out.size()) + " of " +
                       std::to_string(all) + " slaves" +
                       (routing.master_weight() > 0 ? " and to the master" : "") +
                       (out.empty() ? "" : "; " + join(out))};
}

std::optional<Finding> about_poolers(const Facts& f) {
    const auto wanted = static_cast<std::size_t>(f.seen.spec.pooler.instances);
    if (wanted == 0) return {};
    std::size_t ready = 0;
    std::vector<std::string> troubles;
    for (const auto& pooler : f.seen.poolers) {
        if (pooler.ready) ++ready;
        if (!pooler.trouble.empty()) troubles.push_back(pooler.pod + ": " + pooler.trouble);
    }
    return Finding{"PoolerReady", ready > 0,
                   ready >= wanted ? "AllReady"
                   : ready > 0     ? "SomeReady"
                                   : "NoneReady",
                   std::to_string(ready) + " of " + std::to_string(wanted) +
                       " poolers take clients" + (troubles.empty() ? "" : "; " + join(troubles))};
}

}  // namespace matriarch::decide
