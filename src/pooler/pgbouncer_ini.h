// pgbouncer.ini from the routes: who is behind which database. Pure; any thread.
//
// Addresses, not Services: kube-proxy would follow a change up to a second later. Every instance
// has a certificate of the cluster's own CA, which is what the pooler verifies. Databases that run
// elsewhere have the CA of spec.external, and are dialled by name where the name is verified.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/routes.h"

namespace matriarch::pooler {

// Where this pooler runs and what it serves.
struct Place {
    std::string database;                              // of the application
    std::string secret_dir = "/etc/matriarch/pooler";  // see provision_pooler_secret
    std::string run_dir = "/run/matriarch";            // pgbouncer.ini and the socket
    std::string listen = "*";
    int port = 6432;

    std::string ini_path() const { return run_dir + "/pgbouncer.ini"; }
    // The databases that lead to the master, and the one that leads to the slaves.
    std::vector<std::string> writing() const;
    std::string reading() const;
};

// The value of `name` in a section `[pgbouncer]`.
std::optional<std::string> setting_in(const std::string& settings, std::string_view name);

// How PgBouncer verifies servers: the setting, or as our own databases are verified.
std::string server_tls(const std::string& settings);

// `settings` is the section that the operator wrote; routes.master must be there.
std::string pgbouncer_ini(const Place& place, const std::string& settings, const Routes& routes);

}  // namespace matriarch::pooler
