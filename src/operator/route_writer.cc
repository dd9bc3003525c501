#include "operator/route_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "operator/names.h"
#include "operator/object_writer.h"

namespace matriarch::op {
namespace {

// The order in which consumers need them, the urgent ones first.
constexpr int kUrgent = 1;
int rank(const Cluster& cluster, const ObjectWrite& write) {
    // With a port behind it if the cluster has several.
    const std::string master = master_service(cluster.key.name);
    if (write.name == master || write.name.starts_with(master + "-")) return 0;
    return write.resource.plural == kube::kConfigMaps.plural ? 1 : 2;
}

// Equal: spec, routes and the objects as we know them are the same.
std::string state_of(const Cluster& cluster, const Caches& caches, const Routes& routes) {
    std::string out = cluster.uid + "." + std::to_string(cluster.generation) + "," +
                      std::to_string(routes.epoch.value) + "." + std::to_string(routes.sequence);
    const auto add = [&](const kube::Meta& object) { out += "," + object.resource_version; };
    for (const auto& slice : Caches::of(caches.endpoint_slices, cluster.key)) add(*slice);
    for (const auto& map : Caches::of(caches.config_maps, cluster.key)) add(*map);
    return out;
}

// Of all that the caches hold, what routes are published in.
HeldObjects held_routes(const Caches& caches, const ClusterKey& cluster) {
    HeldObjects held;
    for (const auto& slice : Caches::of(caches.endpoint_slices, cluster))
        held.add(kube::kEndpointSlices, *slice);
    for (const auto& map : Caches::of(caches.config_maps, cluster))
        held.add(kube::kConfigMaps, *map);
    return held;
}

}  // namespace

Status RouteWriter::mend(const Cluster& cluster, const Caches& caches, const Routes& routes,
                         std::string& mended) {
    std::string state = state_of(cluster, caches, routes);
    if (state == mended) return {};
    auto done = write(cluster, caches, routes, Scope::All);
    // What was written comes back through the caches and is compared once more.
    if (done) mended = std::move(state);
    return done;
}

Status RouteWriter::publish(const Cluster& cluster, const Caches& caches, const Routes& routes) {
    return write(cluster, caches, routes, routes.master ? Scope::All : Scope::Urgent);
}

Status RouteWriter::write(const Cluster& cluster, const Caches& caches, const Routes& routes,
                          Scope scope) {
    auto provision = provision_routes(cluster, routes, held_routes(caches, cluster.key));
    if (!provision.conflicts.empty())
        return make_error(ErrorKind::Invalid, provision.conflicts.front().message());
    std::stable_sort(
        provision.writes.begin(), provision.writes.end(),
        [&](const auto& a, const auto& b) { return rank(cluster, a) < rank(cluster, b); });
    for (const auto& write : provision.writes) {
        if (scope == Scope::Urgent && rank(cluster, write) > kUrgent) continue;
        if (auto done = execute(client_, cluster.key, write); !done) return done;
    }
    return {};
}

}  // namespace matriarch::op
