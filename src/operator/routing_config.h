// The ConfigMap <cluster>-routing: where to write and where to read, for every kind of consumer.
//
// routes.json is the whole answer, stamped (epoch, sequence); the other keys are the same answer in
// the formats of spec.routing.formats. No key holds a password. Pure; equal inputs give byte-equal
// JSON; any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/routes.h"
#include "operator/cluster.h"

namespace matriarch::op {

// key -> text
StringMap routing_data(const Cluster& cluster, const Routes& routes);

nlohmann::json routing_config_map_object(const Cluster& cluster, const Routes& routes);

// The formats one by one. Files name instances where a change of master needs no rewriting of them
// (libpq tries all hosts), and Services elsewhere.
std::string pg_service_conf(const Cluster& cluster, const Routes& routes);
std::string haproxy_cfg(const Cluster& cluster, const Routes& routes);
std::string pgbouncer_ini(const Cluster& cluster, const Routes& routes);

// Pod names, for clients that try several hosts: the master, then slaves by position; for reads the
// other way round. All of them, since a URI may be kept for long.
std::vector<std::string> hosts_writes_first(const Cluster& cluster, const Routes& routes);
std::vector<std::string> hosts_reads_first(const Cluster& cluster, const Routes& routes);
// Only those that take reads now, for files that are read again.
std::vector<std::string> hosts_for_reads(const Cluster& cluster, const Routes& routes);

}  // namespace matriarch::op
