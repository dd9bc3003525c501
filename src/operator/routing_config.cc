#include "operator/routing_config.h"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "operator/env_keys.h"
#include "operator/names.h"
#include "operator/object_meta.h"
#include "operator/pooler_objects.h"
#include "operator/route_objects.h"
#include "operator/uri.h"

namespace matriarch::op {
namespace {

// HAProxy's largest weight; ours go to 1000.
constexpr int kMaxHaproxyWeight = 256;

std::string join(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : ",") + item;
    return out;
}

// A name with a line break can't be said in a file of lines. The schema refuses it; here such a
// file is left out rather than written with a second meaning.
bool fits_line(const std::string& text) {
    return std::none_of(text.begin(), text.end(),
                        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// pgbouncer.ini can't name other databases: its parser stops at a quoted name, whatever the manual
// says (pgbouncer#971). The schema refuses them.
bool fits_pgbouncer(const std::string& database) {
    return std::all_of(database.begin(), database.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    });
}

// How clients reach an instance: by its pod's name, or where it runs elsewhere, by its own, which
// brings its port.
template <class Route>
std::string dialled(const Cluster& cluster, const Route& route) {
    if (!cluster.spec.external) return host_of(cluster.key, route.instance);
    const bool v6 = route.host.find(':') != std::string::npos;
    return (v6 ? "[" + route.host + "]" : route.host) + ":" + std::to_string(route.port);
}

std::string service_section(const std::string& name, const std::vector<std::string>& hosts,
                            const ClusterSpec& spec, std::string_view session) {
    std::vector<std::string> names, ports;
    for (const std::string& host : hosts) {
        const auto [name_, port] = split_port(host, kPostgresPort);
        names.push_back(name_);
        ports.push_back(std::to_string(port));
    }
    const bool one =
        std::adjacent_find(ports.begin(), ports.end(), std::not_equal_to<>()) == ports.end();
    return "[" + name + "]\nhost=" + join(names) + "\nport=" + (one ? ports.front() : join(ports)) +
           "\ndbname=" + spec.database + "\nuser=" + spec.owner +
           "\ntarget_session_attrs=" + std::string(session) +
           "\nconnect_timeout=" + std::to_string(kConnectTimeoutSeconds) + "\n";
}

// The Service of a slave that is out leads to another one, so its position keeps its usual weight:
// who reads this file but once is not stuck with a bad moment's.
int weight_now(const RoutingSpec& routing, const Routes& routes, int position) {
    for (const SlaveRoute& slave : routes.slaves)
        if (slave.position == position && takes_reads(slave)) return slave.weight;
    return routing.weight_of(position);
}

// Of each position and, last, of the master, so that the heaviest has `top`. A small weight is not
// no weight.
std::vector<int> shares(const ClusterSpec& spec, const Routes& routes, int top) {
    int heaviest = std::max(1, spec.routing.master_weight());
    for (int n = 1; n <= spec.slaves; ++n) heaviest = std::max(heaviest, spec.routing.weight_of(n));
    const auto share = [&](int weight) {
        return std::max(weight > 0 ? 1 : 0, weight * top / heaviest);
    };
    std::vector<int> out;
    for (int n = 1; n <= spec.slaves; ++n)
        out.push_back(share(weight_now(spec.routing, routes, n)));
    out.push_back(share(spec.routing.master_weight()));
    return out;
}

// PgBouncer takes the hosts of a list in turn, for each new connection to a server: one that stands
// there twice gets twice as many. At random is what kube-proxy does behind one Service.
std::string pooled_hosts(const Cluster& cluster, const Routes& routes) {
    const ClusterKey& key = cluster.key;
    std::vector<WeightedHost> slaves;
    for (int n = 1; n <= cluster.spec.slaves; ++n)
        slaves.push_back({service_host(key, slave_service(key.name, n)),
                          weight_now(cluster.spec.routing, routes, n)});
    slaves.push_back(
        {service_host(key, master_service(key.name)), cluster.spec.routing.master_weight()});
    const auto hosts = hosts_in_turn(slaves);
    if (hosts.empty() || cluster.spec.routing.strategy == Strategy::Random)
        return service_host(key, slaves_service(key.name));
    return join(hosts);
}

std::string_view balance(Strategy strategy) {
    switch (strategy) {
        case Strategy::RoundRobin:
            return "roundrobin";
        case Strategy::Random:
            return "random";
        case Strategy::LeastConnections:
            return "leastconn";
    }
    return "roundrobin";
}

}  // namespace

std::vector<std::string> hosts_writes_first(const Cluster& cluster, const Routes& routes) {
    std::vector<std::string> out;
    if (routes.master) out.push_back(dialled(cluster, *routes.master));
    for (const SlaveRoute& slave : routes.slaves) out.push_back(dialled(cluster, slave));
    if (out.empty()) out.push_back(service_host(cluster.key, master_service(cluster.key.name)));
    return out;
}

// A slave that is unfit now is no host for reads, though it would answer.
std::vector<std::string> hosts_for_reads(const Cluster& cluster, const Routes& routes) {
    std::vector<std::string> out;
    for (const SlaveRoute& slave : routes.slaves)
        if (takes_reads(slave)) out.push_back(dialled(cluster, slave));
    const auto& routing = cluster.spec.routing;
    if (routes.master && (routing.fallback_to_master || routing.master_weight() > 0))
        out.push_back(dialled(cluster, *routes.master));
    if (out.empty()) out.push_back(service_host(cluster.key, slaves_service(cluster.key.name)));
    return out;
}

std::vector<std::string> hosts_reads_first(const Cluster& cluster, const Routes& routes) {
    std::vector<std::string> out = hosts_writes_first(cluster, routes);
    if (routes.master) std::rotate(out.begin(), out.begin() + 1, out.end());
    return out;
}

std::string pg_service_conf(const Cluster& cluster, const Routes& routes) {
    const auto writes = hosts_writes_first(cluster, routes);
    const std::string& name = cluster.key.name;
    const auto session = session_attrs(Session::ReadWrite);
    return "# Written by Matriarch. PGSERVICEFILE names this file; the password is in the Secret " +
           app_secret(name) + ".\n" + service_section(name, writes, cluster.spec, session) + "\n" +
           service_section(name + "_master", writes, cluster.spec, session) + "\n" +
           service_section(name + "_replica", hosts_for_reads(cluster, routes), cluster.spec,
                           session_attrs(read_session(cluster.spec.routing)));
}

// Services, not instances: HAProxy then follows a failover without a reload.
std::string haproxy_cfg(const Cluster& cluster, const Routes& routes) {
    const ClusterSpec& spec = cluster.spec;
    const ClusterKey& key = cluster.key;
    const std::string port = ":" + std::to_string(kPostgresPort);
    const std::string master = service_host(key, master_service(key.name)) + port;
    std::string out =
        "# Written by Matriarch: writes on port 5000, reads on port 5001.\n"
        "defaults\n"
        "    mode tcp\n"
        "    timeout connect 4s\n"
        "    timeout client 1h\n"
        "    timeout server 1h\n"
        "    default-server check inter 1s fall 2 rise 1 on-marked-down shutdown-sessions"
        " init-addr last,libc,none\n"
        "\n"
        "listen " +
        key.name + "_master\n    bind :5000\n    server master " + master + "\n\nlisten " +
        key.name + "_replica\n    bind :5001\n    balance " +
        std::string(balance(spec.routing.strategy)) + "\n";
    const auto weights = shares(spec, routes, kMaxHaproxyWeight);
    for (int n = 1; n <= spec.slaves; ++n)
        out += "    server " + position_name(n) + " " +
               service_host(key, slave_service(key.name, n)) + port + " weight " +
               std::to_string(weights[static_cast<std::size_t>(n - 1)]) + "\n";
    if (weights.back() > 0)
        out += "    server master " + master + " weight " + std::to_string(weights.back()) + "\n";
    else if (spec.routing.fallback_to_master)
        out += "    server master " + master + " backup\n";
    return out;
}

std::string pgbouncer_ini(const Cluster& cluster, const Routes& routes) {
    const ClusterSpec& spec = cluster.spec;
    const ClusterKey& key = cluster.key;
    const std::string master = service_host(key, master_service(key.name));
    const auto database = [&](const std::string& name, const std::string& host) {
        return name + " = host=" + host + " port=" + std::to_string(kPostgresPort) +
               " dbname=" + spec.database + "\n";
    };
    const std::string& db = spec.database;
    return "; Written by Matriarch. userlist.txt is in the Secret " + app_secret(key.name) +
           ".\n"
           "[databases]\n" +
           database(db, master) + database(db + "_master", master) +
           database(db + "_replica", pooled_hosts(cluster, routes)) +
           "\n[pgbouncer]\n"
           "listen_addr = *\n"
           "listen_port = " +
           std::to_string(kPoolerPort) +
           "\n"
           "auth_type = scram-sha-256\n"
           "auth_file = /etc/pgbouncer/userlist.txt\n"
           "pool_mode = transaction\n"
           "max_client_conn = 1000\n"
           "default_pool_size = 25\n"
           // Drivers send it with every connection, and it can't be set per transaction.
           "ignore_startup_parameters = extra_float_digits\n"
           "server_tls_sslmode = prefer\n"
           // A master that was lost answers nobody: try again soon.
           "server_connect_timeout = 3\n"
           "server_login_retry = 1\n";
}

StringMap routing_data(const Cluster& cluster, const Routes& routes) {
    const auto& formats = cluster.spec.routing.formats;
    StringMap out;
    if (wanted(formats, "env")) out = public_env(cluster.key, cluster.spec);
    // Always: everything of ours reads it.
    out["routes.json"] = to_json(routes);
    const bool lines = fits_line(cluster.spec.database) && fits_line(cluster.spec.owner);
    if (wanted(formats, "pg_service") && lines)
        out["pg_service.conf"] = pg_service_conf(cluster, routes);
    if (wanted(formats, "haproxy")) out["haproxy.cfg"] = haproxy_cfg(cluster, routes);
    if (cluster.spec.pooler.wanted())
        out[std::string(kPoolerSettingsKey)] = pooler_settings(cluster);
    if (wanted(formats, "pgbouncer") && fits_pgbouncer(cluster.spec.database))
        out["pgbouncer.ini"] = pgbouncer_ini(cluster, routes);
    return out;
}

nlohmann::json routing_config_map_object(const Cluster& cluster, const Routes& routes) {
    const std::string& name = cluster.key.name;
    nlohmann::json out = owned_object(cluster, kube::kConfigMaps, routing_config_map(name),
                                      cluster_labels(name, "routing"));
    out["data"] = routing_data(cluster, routes);
    out["metadata"]["annotations"] = {{std::string(kStampAnnotation), stamp_of(routes).str()}};
    seal(out);
    return out;
}

}  // namespace matriarch::op
