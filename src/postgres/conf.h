// The files that make an instance's PostgreSQL what it must be: postgresql.conf, pg_hba.conf,
// pg_ident.conf, and the connection string to an upstream.
//
// Pure: text from values. What the cluster depends on is set last and cannot be overridden by the
// user's parameters (`owned_parameter`); sensible defaults come first and can be. Equal input gives
// equal text, so that a comparison tells whether a reload is due.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "model/ids.h"
#include "model/order.h"
#include "model/report.h"

namespace matriarch::postgres {

enum class Role { Master, Slave };
std::string_view to_string(Role role);

// Where things are on this machine.
struct Layout {
    std::string socket_dir;  // of the server's unix socket
    std::string tls_dir;     // tls.crt, tls.key (mode 0600), ca.crt, as PostgreSQL may read them
    std::string hba_file, ident_file;
    std::string os_user;          // who runs PostgreSQL and this agent
    std::string restore_command;  // in force while WAL is being rescued
    std::string listen = "*";
    int port = 5432;
    std::string cluster;
    InstanceName instance;
    int major_version = 15;
};

struct ServerConfig {
    Role role = Role::Slave;
    bool read_only = true;                            // until verified as master
    std::string primary_conninfo, primary_slot_name;  // empty: no receiver
    std::string restore_command;
    // A slave has it too: as master it would make commits wait from the first one on.
    std::string synchronous_standby_names;
    friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};

std::string render_postgresql_conf(const Layout& layout, const InstanceConfig& config,
                                   const ServerConfig& server);
std::string render_hba(const Layout& layout, const InstanceConfig& config);
std::string render_ident(const Layout& layout);

// To `upstream`, as the replication role, by our client certificate. `database` empty: physical
// replication (libpq and pg_basebackup); otherwise a session in that database.
std::string upstream_conninfo(const Layout& layout, const Upstream& upstream,
                              std::string_view database = {});

// Whether the user may not set this parameter, since the cluster depends on it.
bool owned_parameter(std::string_view name);
// The user's parameters that would be ignored, or can't be written: reported, never fatal.
std::vector<ParameterTrouble> owned_parameter_troubles(const InstanceConfig& config);

// 'value' with quotes and backslashes doubled, as postgresql.conf (guc-file.l) reads it.
std::string quote_parameter(std::string_view value);

// What `postgres -C` wrote on stderr, as troubles by parameter name.
std::vector<ParameterTrouble> parse_parameter_errors(std::string_view output,
                                                     const InstanceConfig& config);

}  // namespace matriarch::postgres
