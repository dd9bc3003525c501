#include "model/routes.h"

#include <algorithm>
#include <numeric>

#include "model/json.h"

namespace matriarch {

std::string_view to_string(RouteState state) {
    switch (state) {
        case RouteState::Ready:
            return "ready";
        case RouteState::Lagging:
            return "lagging";
        case RouteState::Down:
            return "down";
        case RouteState::Cloning:
            return "cloning";
        case RouteState::Joining:
            return "joining";
        case RouteState::Conflict:
            return "conflict";
    }
    return "down";
}

bool Routes::same_content(const Routes& other) const {
    return timeline == other.timeline && master == other.master && slaves == other.slaves &&
           reads == other.reads && pause == other.pause;
}

bool takes_reads(const SlaveRoute& slave) {
    return slave.state == RouteState::Ready && slave.weight > 0;
}

std::vector<RouteAddress> read_addresses(const Routes& routes, const RoutingSpec& spec) {
    std::vector<RouteAddress> out;
    for (const auto& slave : routes.slaves)
        if (takes_reads(slave)) out.push_back({slave.address, slave.port});
    const bool stands_in = out.empty() && spec.fallback_to_master;
    if (routes.master && (stands_in || spec.master_weight() > 0))
        out.push_back({routes.master->address, routes.master->port});
    return out;
}

std::vector<RouteAddress> position_addresses(const Routes& routes, int position,
                                             const RoutingSpec& spec) {
    for (const auto& slave : routes.slaves)
        if (slave.position == position && slave.state == RouteState::Ready)
            return {{slave.address, slave.port}};
    // An application that knows only DB_SLAVE1_HOST goes on reading from another slave.
    return read_addresses(routes, spec);
}

std::vector<std::string> hosts_in_turn(const std::vector<WeightedHost>& hosts) {
    constexpr int most = 4;
    int heaviest = 1;
    for (const auto& h : hosts) heaviest = std::max(heaviest, h.weight);
    std::vector<int> times;
    for (const auto& h : hosts)
        times.push_back(h.weight == 0 ? 0 : std::max(1, h.weight * most / heaviest));
    const int divisor =
        std::accumulate(times.begin(), times.end(), 0, [](int a, int b) { return std::gcd(a, b); });
    std::vector<std::string> out;
    for (int round = 0; divisor != 0 && round < most / divisor; ++round)
        for (std::size_t i = 0; i < hosts.size(); ++i)
            if (round < times[i] / divisor) out.push_back(hosts[i].host);
    return out;
}

namespace {

using json::at;
using json::Json;
using json::read;

template <class Route>
Json write_endpoint(const Route& r) {
    return {{"instance", r.instance.value},
            {"pod", r.pod.value},
            {"host", r.host},
            {"address", r.address},
            {"port", r.port}};
}

template <class Route>
Route read_endpoint(const Json& object) {
    Route r;
    read(object, "instance", r.instance);
    read(object, "pod", r.pod);
    read(object, "host", r.host);
    read(object, "address", r.address);
    read(object, "port", r.port);
    return r;
}

template <class T>
void read_optional(const Json& object, const char* key, std::optional<T>& out) {
    if (!at(object, key).is_null()) out = json::read_one<T>(at(object, key));
}

}  // namespace

std::string to_json(const Routes& routes) {
    Json out = {{"epoch", routes.epoch.value},
                {"sequence", routes.sequence},
                {"timeline", routes.timeline.value},
                {"master", nullptr},
                {"slaves", Json::array()},
                {"reads",
                 {{"strategy", to_string(routes.reads.strategy)},
                  {"maxLagMs", routes.reads.max_lag.count()},
                  {"fallbackToMaster", routes.reads.fallback_to_master},
                  {"masterWeight", routes.reads.master_weight}}}};
    if (routes.master) out["master"] = write_endpoint(*routes.master);
    if (!routes.pause.empty()) out["pause"] = routes.pause;
    for (const auto& s : routes.slaves) {
        Json slave = write_endpoint(s);
        slave["position"] = s.position;
        slave["state"] = to_string(s.state);
        slave["lagMs"] = s.lag ? Json(s.lag->count()) : Json();
        slave["lagBytes"] = s.lag_bytes ? Json(s.lag_bytes->value) : Json();
        slave["weight"] = s.weight;
        out["slaves"].push_back(std::move(slave));
    }
    return out.dump(2);
}

Result<Routes> routes_from_json(std::string_view text) {
    const auto body = json::parse_object(text);
    if (!body) return make_error(ErrorKind::Invalid, "routes.json must be a JSON object");
    Routes out;
    read(*body, "epoch", out.epoch);
    read(*body, "sequence", out.sequence);
    read(*body, "timeline", out.timeline);
    read(*body, "pause", out.pause);
    if (at(*body, "master").is_object())
        out.master = read_endpoint<MasterRoute>(at(*body, "master"));
    json::read_list(*body, "slaves", out.slaves, [](const Json& item) {
        auto s = read_endpoint<SlaveRoute>(item);
        read(item, "position", s.position);
        json::read_enum(item, "state", s.state, RouteState::Conflict);
        read_optional(item, "lagMs", s.lag);
        read_optional(item, "lagBytes", s.lag_bytes);
        read(item, "weight", s.weight);
        return s;
    });
    const Json& reads = at(*body, "reads");
    json::read_enum(reads, "strategy", out.reads.strategy, Strategy::LeastConnections);
    read(reads, "maxLagMs", out.reads.max_lag);
    read(reads, "fallbackToMaster", out.reads.fallback_to_master);
    read(reads, "masterWeight", out.reads.master_weight);
    return out;
}

}  // namespace matriarch
