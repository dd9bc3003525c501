// EndpointSlices: where the Services of a cluster lead to, made from Routes.
//
// Each is stamped (epoch, sequence) and bound to pods by uid; a stamp never falls (INV-4). They are
// replaced by resourceVersion, never force-applied. A rise of the sequence alone rewrites nothing,
// since each write makes kube-proxy work; a rise of the epoch stamps all. Pure; any thread.
#pragma once

#include <compare>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/routes.h"
#include "operator/cluster.h"
#include "operator/names.h"

namespace matriarch::op {

struct Stamp {
    std::uint64_t epoch = 0, sequence = 0;
    std::string str() const { return std::to_string(epoch) + "." + std::to_string(sequence); }
    static std::optional<Stamp> parse(std::string_view text);
    friend auto operator<=>(const Stamp&, const Stamp&) = default;
};
Stamp stamp_of(const Routes& routes);

// Addresses behind one Service, the most wanted first; without duplicates.
std::vector<RouteAddress> service_addresses(const Routes& routes, const RouteService& service,
                                            const RoutingSpec& spec);

// "IPv4" or "IPv6". It can't change in an existing EndpointSlice, so without an address it is what
// is held.
std::string address_type(const std::vector<RouteAddress>& addresses, const std::string& held = {});

// A slice has one port for all its endpoints, so each port of a cluster has slices of its own: the
// first port's have the Services' names.
std::vector<int> ports_of(const ClusterSpec& spec);
std::string slice_name(const RouteService& service, const ClusterSpec& spec, int port);

// `type` is the answer of address_type for all of the cluster's addresses; those of the other
// family and of other ports are left out, and so are those that no slice may hold (loopback).
nlohmann::json endpoint_slice(const Cluster& cluster, const RouteService& service,
                              const Routes& routes, const std::string& type,
                              int port = kPostgresPort);
// Of the master and every slave.
std::vector<RouteAddress> all_addresses(const Routes& routes);

}  // namespace matriarch::op
