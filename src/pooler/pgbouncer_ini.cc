#include "pooler/pgbouncer_ini.h"

#include <algorithm>

#include "model/pooler.h"

namespace matriarch::pooler {
namespace {

struct Target {
    std::string hosts;
    int port = 0;
};

// By its name where the server's certificate is to have that name.
template <class Route>
std::string dialled(const Route& route, bool by_name) {
    return by_name ? route.host : route.address;
}

// Without a slave and without the master for it, reads are refused rather than kept waiting.
Target reads(const Routes& routes, bool by_name) {
    std::vector<WeightedHost> slaves;
    int port = routes.master->port;
    for (const auto& slave : routes.slaves) {
        if (!takes_reads(slave)) continue;
        slaves.push_back({dialled(slave, by_name), slave.weight});
        port = slave.port;
    }
    slaves.push_back({dialled(*routes.master, by_name), routes.reads.master_weight});
    std::string hosts;
    for (const auto& host : hosts_in_turn(slaves)) hosts += (hosts.empty() ? "" : ",") + host;
    if (!hosts.empty()) return {hosts, port};
    if (routes.reads.fallback_to_master) return {dialled(*routes.master, by_name), port};
    return {"127.0.0.1", 1};
}

}  // namespace

std::vector<std::string> Place::writing() const {
    return {database, database + std::string(kPoolerMasterSuffix)};
}
std::string Place::reading() const {
    return database + std::string(kPoolerReplicaSuffix);
}

std::optional<std::string> setting_in(const std::string& settings, std::string_view name) {
    const std::string begin = "\n" + std::string(name) + " = ";
    const auto at = settings.find(begin);
    if (at == std::string::npos) return {};
    const auto value = at + begin.size();
    return settings.substr(value, settings.find('\n', value) - value);
}

std::string server_tls(const std::string& settings) {
    return setting_in(settings, kServerTlsSetting)
        .value_or(std::string(to_string(SslMode::VerifyCa)));
}

std::string pgbouncer_ini(const Place& place, const std::string& settings, const Routes& routes) {
    std::string out = "; Written by matriarch-pooler; changes made here are lost.\n[databases]\n";
    const auto add = [&](const std::string& name, const Target& target) {
        out += name + " = host=" + target.hosts + " port=" + std::to_string(target.port) +
               " dbname=" + place.database + "\n";
    };
    const std::string tls = server_tls(settings);
    const bool by_name = tls == to_string(SslMode::VerifyFull);
    for (const auto& name : place.writing())
        add(name, {dialled(*routes.master, by_name), routes.master->port});
    add(place.reading(), reads(routes, by_name));
    const auto secret = [&](std::string_view file) {
        return place.secret_dir + "/" + std::string(file);
    };
    // After the settings: PgBouncer takes the last word, so these can't be changed by mistake.
    return out + "\n" + settings + "listen_addr = " + place.listen +
           "\nlisten_port = " + std::to_string(place.port) +
           "\nunix_socket_dir = " + place.run_dir + "\nauth_file = " + secret("userlist.txt") +
           "\nclient_tls_sslmode = allow\nclient_tls_cert_file = " + secret("tls.crt") +
           "\nclient_tls_key_file = " + secret("tls.key") +
           // Without one PgBouncer 1.24 looks for the system's and does not start where it has
           // none.
           "\nclient_tls_ca_file = " + secret("ca.crt") + "\n" + std::string(kServerTlsSetting) +
           " = " + tls + "\nserver_tls_ca_file = " + secret(kServerCaKey) + "\n";
}

}  // namespace matriarch::pooler
