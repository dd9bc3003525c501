#include "operator/route_objects.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "operator/object_meta.h"

namespace matriarch::op {
namespace {

using Json = nlohmann::json;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return out;
}

void add(std::vector<RouteAddress>& addresses, const RouteAddress& address) {
    if (address.ip.empty()) return;
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
        addresses.push_back(address);
}

// The API server refuses it in a slice.
bool is_loopback(const std::string& ip) {
    return ip.starts_with("127.") || ip == "::1";
}

// The pod that has an address. Routes bind each address to the pod's uid: a later pod with the same
// address is another one.
Json target(const Routes& routes, const RouteAddress& to) {
    const std::string& address = to.ip;
    const auto reference = [](const InstanceName& instance, const PodUid& pod) -> Json {
        return {{"kind", "Pod"}, {"name", pod_name(instance)}, {"uid", pod.value}};
    };
    if (routes.master && routes.master->address == address)
        return reference(routes.master->instance, routes.master->pod);
    for (const SlaveRoute& slave : routes.slaves)
        if (slave.address == address) return reference(slave.instance, slave.pod);
    return nullptr;
}

}  // namespace

std::optional<Stamp> Stamp::parse(std::string_view text) {
    const auto dot = text.find('.');
    if (dot == std::string_view::npos) return {};
    const auto epoch = number(text.substr(0, dot));
    const auto sequence = number(text.substr(dot + 1));
    if (!epoch || !sequence) return {};
    return Stamp{*epoch, *sequence};
}

Stamp stamp_of(const Routes& routes) {
    return {routes.epoch.value, routes.sequence};
}

std::vector<RouteAddress> service_addresses(const Routes& routes, const RouteService& service,
                                            const RoutingSpec& spec) {
    std::vector<RouteAddress> out;
    if (service.position > 0) {
        for (const auto& a : position_addresses(routes, service.position, spec)) add(out, a);
        return out;
    }
    if (service.short_name != "slaves" && routes.master)
        add(out, {routes.master->address, routes.master->port});
    if (service.short_name != "master")
        for (const auto& a : read_addresses(routes, spec)) add(out, a);
    return out;
}

std::string address_type(const std::vector<RouteAddress>& addresses, const std::string& held) {
    if (addresses.empty()) return held.empty() ? "IPv4" : held;
    return addresses.front().ip.find(':') == std::string::npos ? "IPv4" : "IPv6";
}

std::vector<RouteAddress> all_addresses(const Routes& routes) {
    std::vector<RouteAddress> out;
    if (routes.master) add(out, {routes.master->address, routes.master->port});
    for (const SlaveRoute& slave : routes.slaves) add(out, {slave.address, slave.port});
    return out;
}

std::vector<int> ports_of(const ClusterSpec& spec) {
    if (!spec.external) return {kPostgresPort};
    std::vector<int> out;
    for (const auto& endpoint : spec.external->endpoints)
        if (std::find(out.begin(), out.end(), endpoint.port) == out.end())
            out.push_back(endpoint.port);
    return out;
}

std::string slice_name(const RouteService& service, const ClusterSpec& spec, int port) {
    return port == ports_of(spec).front() ? service.name
                                          : service.name + "-" + std::to_string(port);
}

Json endpoint_slice(const Cluster& cluster, const RouteService& service, const Routes& routes,
                    const std::string& type, int port) {
    StringMap labels = cluster_labels(cluster.key.name, "route");
    labels["kubernetes.io/service-name"] = service.name;
    // Without it Kubernetes' own controllers could take the slice for theirs.
    labels["endpointslice.kubernetes.io/managed-by"] = "matriarch.dev";
    Json out = owned_object(cluster, kube::kEndpointSlices, slice_name(service, cluster.spec, port),
                            labels);

    out["addressType"] = type;
    out["ports"] = Json::array({{{"name", "postgres"}, {"port", port}, {"protocol", "TCP"}}});
    out["endpoints"] = Json::array();
    for (const RouteAddress& address : service_addresses(routes, service, cluster.spec.routing)) {
        if (address_type({address}) != type || address.port != port || is_loopback(address.ip))
            continue;
        Json endpoint = {
            {"addresses", Json::array({address.ip})},
            {"conditions", {{"ready", true}, {"serving", true}, {"terminating", false}}}};
        // What runs elsewhere has no pod.
        Json pod = cluster.spec.external ? Json() : target(routes, address);
        if (!pod.is_null()) {
            pod["namespace"] = cluster.key.name_space;
            endpoint["targetRef"] = std::move(pod);
        }
        out["endpoints"].push_back(std::move(endpoint));
    }
    const Stamp stamp = stamp_of(routes);
    // The hash sees the epoch only; see the header.
    out["metadata"]["annotations"] = {{std::string(kStampAnnotation), Stamp{stamp.epoch, 0}.str()},
                                      {std::string(kAddressTypeAnnotation), type}};
    seal(out);
    out["metadata"]["annotations"][std::string(kStampAnnotation)] = stamp.str();
    return out;
}

}  // namespace matriarch::op
