// provision_routes; see provision.h.
#include <nlohmann/json.hpp>
#include <set>

#include "operator/names.h"
#include "operator/plan_write.h"
#include "operator/provision.h"
#include "operator/route_objects.h"
#include "operator/routing_config.h"

namespace matriarch::op {
namespace {

// INV-4: the stamp never falls, so an object with a higher one was written by a later leader.
bool newer(const kube::Meta* held, const Stamp& stamp) {
    if (!held) return false;
    const auto theirs = Stamp::parse(held->annotation(std::string(kStampAnnotation)));
    return theirs && *theirs > stamp;
}

// Slices of ports that no endpoint has any more: they would go on leading somewhere.
void remove_former_ports(WritePlanner& plan, const Cluster& cluster, const HeldObjects& held,
                         const Stamp& stamp) {
    std::set<std::string> wanted;
    for (const RouteService& service : route_services(cluster.key.name, cluster.spec.slaves))
        for (const int port : ports_of(cluster.spec))
            wanted.insert(slice_name(service, cluster.spec, port));
    for (const kube::Meta* slice : held.all(kube::kEndpointSlices))
        if (!wanted.contains(slice->name) && !newer(slice, stamp))
            plan.remove(kube::kEndpointSlices, slice->name);
}

}  // namespace

Provision provision_routes(const Cluster& cluster, const Routes& routes, const HeldObjects& held) {
    Provision out;
    WritePlanner plan(cluster, held, out);
    const Stamp stamp = stamp_of(routes);
    const std::vector<RouteAddress> addresses = all_addresses(routes);
    // Endpoints first, the master's before all: that is where an outage ends.
    for (const RouteService& service : route_services(cluster.key.name, cluster.spec.slaves))
        for (const int port : ports_of(cluster.spec)) {
            const std::string name = slice_name(service, cluster.spec, port);
            const kube::Meta* slice = held.find(kube::kEndpointSlices, name);
            if (newer(slice, stamp)) continue;
            const std::string held_type =
                slice ? slice->annotation(std::string(kAddressTypeAnnotation)) : std::string();
            // Without any pod nobody knows the family; no slice says the same as an empty one.
            if (!slice && addresses.empty()) continue;
            const std::string type = address_type(addresses, held_type);
            if (!held_type.empty() && type != held_type) {
                plan.remove(kube::kEndpointSlices, name);
                plan.create(kube::kEndpointSlices,
                            endpoint_slice(cluster, service, routes, type, port));
                continue;
            }
            plan.replace(kube::kEndpointSlices,
                         endpoint_slice(cluster, service, routes, type, port));
        }
    if (cluster.spec.external) remove_former_ports(plan, cluster, held, stamp);
    if (!newer(held.find(kube::kConfigMaps, routing_config_map(cluster.key.name)), stamp))
        plan.replace(kube::kConfigMaps, routing_config_map_object(cluster, routes));
    return out;
}

}  // namespace matriarch::op
