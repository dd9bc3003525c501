#include "operator/health_source.h"

#include "operator/names.h"
#include "postgres/knock.h"

namespace matriarch::op {
namespace {

constexpr Duration kAnswerIn = seconds(2);

std::optional<Routes> published_routes(const Caches& caches, const ClusterKey& cluster) {
    const auto map =
        caches.config_maps.get(cluster.name_space + "/" + routing_config_map(cluster.name));
    if (!map) return {};
    const auto text = map->data.find("routes.json");
    if (text == map->data.end()) return {};
    auto routes = routes_from_json(text->second);
    return routes ? std::optional(std::move(*routes)) : std::nullopt;
}

}  // namespace

std::vector<ClusterKey> HealthSource::clusters() const {
    std::vector<ClusterKey> out;
    for (const auto& set : caches_)
        for (const auto& cluster : set->clusters.all()) out.push_back(cluster->key);
    return out;
}

std::optional<HealthFacts> HealthSource::facts(const ClusterKey& key) const {
    for (const auto& set : caches_) {
        const auto cluster = set->clusters.get(key.str());
        if (!cluster) continue;
        HealthFacts out;
        out.slaves = cluster->spec.slaves;
        out.max_lag = cluster->spec.routing.max_lag;
        out.now = clock_.now();
        out.wall = clock_.wall();
        if (auto look = looks_.shown(key)) {
            out.status = std::move(look->status);
            out.routes = std::move(look->routes);
        } else {
            out.status = cluster->status;
            out.routes = published_routes(*set, key);
        }
        return out;
    }
    return {};
}

std::vector<Result<Duration>> HealthSource::test(
    const std::vector<TestedEndpoint>& endpoints) const {
    std::vector<postgres::TcpAddress> servers;
    for (const auto& e : endpoints)
        servers.push_back({e.address, static_cast<std::uint16_t>(e.port)});
    return postgres::knock_all(servers, Deadline::after(clock_, kAnswerIn), clock_);
}

}  // namespace matriarch::op
