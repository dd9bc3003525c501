#include "pooler/pgbouncer_ini.h"

#include <algorithm>

#include "model/pooler.h"

namespace matriarch::pooler {
namespace {

struct Target {
    std::string hosts;
    int port = 0;
};

// Without a slave and without the master for it, reads are refused rather than kept waiting.
Target reads(const Routes& routes) {
    std::vector<WeightedHost> slaves;
    int port = routes.master->port;
    for (const auto& slave : routes.slaves) {
        if (!takes_reads(slave)) continue;
        slaves.push_back({slave.address, slave.weight});
        port = slave.port;
    }
    std::string hosts;
    for (const auto& host : hosts_in_turn(slaves)) hosts += (hosts.empty() ? "" : ",") + host;
    if (!hosts.empty()) return {hosts, port};
    if (routes.reads.fallback_to_master) return {routes.master->address, port};
    return {"127.0.0.1", 1};
}

}  // namespace

std::vector<std::string> Place::writing() const {
    return {database, database + std::string(kPoolerMasterSuffix)};
}
std::string Place::reading() const {
    return database + std::string(kPoolerReplicaSuffix);
}

std::string pgbouncer_ini(const Place& place, const std::string& settings, const Routes& routes) {
    std::string out = "; Written by matriarch-pooler; changes made here are lost.\n[databases]\n";
    const auto add = [&](const std::string& name, const Target& target) {
        out += name + " = host=" + target.hosts + " port=" + std::to_string(target.port) +
               " dbname=" + place.database + "\n";
    };
    for (const auto& name : place.writing())
        add(name, {routes.master->address, routes.master->port});
    add(place.reading(), reads(routes));
    const auto secret = [&](const char* file) { return place.secret_dir + "/" + file; };
    // After the settings: PgBouncer takes the last word, so these can't be changed by mistake.
    return out + "\n" + settings + "listen_addr = " + place.listen +
           "\nlisten_port = " + std::to_string(place.port) +
           "\nunix_socket_dir = " + place.run_dir + "\nauth_file = " + secret("userlist.txt") +
           "\nclient_tls_sslmode = allow\nclient_tls_cert_file = " + secret("tls.crt") +
           "\nclient_tls_key_file = " + secret("tls.key") +
           // Without one PgBouncer 1.24 looks for the system's and does not start where it has
           // none.
           "\nclient_tls_ca_file = " + secret("ca.crt") +
           "\nserver_tls_sslmode = verify-ca\nserver_tls_ca_file = " + secret("ca.crt") + "\n";
}

}  // namespace matriarch::pooler
