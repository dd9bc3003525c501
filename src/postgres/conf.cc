#include "postgres/conf.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace matriarch::postgres {
namespace {

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

// A name that guc-file.l reads as one token: anything else would be a line of its own.
bool plain_name(std::string_view name) {
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) {
               return std::isalnum(c) || c == '_' || c == '.' || c == '$';
           });
}

bool one_line(std::string_view text) {
    return text.find_first_of(std::string_view("\n\r\0", 3)) == std::string_view::npos;
}

class Writer {
  public:
    void set(std::string_view name, std::string_view value) {
        out_ += name;
        out_ += " = ";
        out_ += quote_parameter(value);
        out_ += '\n';
    }
    void comment(std::string_view text) {
        out_ += "# ";
        out_ += text;
        out_ += '\n';
    }
    void user(const StringMap& parameters) {
        for (const auto& [name, value] : parameters)
            if (plain_name(name) && one_line(value) && !owned_parameter(name))
                set(lower(name), value);
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

// Defaults that a user may change. Short timeouts, since a silent peer is an event here.
void write_defaults(Writer& w) {
    w.comment("defaults");
    w.set("max_connections", "100");
    w.set("max_wal_senders", "20");
    w.set("max_replication_slots", "20");
    w.set("superuser_reserved_connections", "6");  // the agent's own sessions, and people's
    // Slots keep what slaves need; this is for one that lost its slot, on volumes of any size.
    w.set("wal_keep_size", "64MB");
    // A silent upstream is asked after half of this, so a healthy stream is never older: shorter
    // than the operator's patience with a silent one (decide::Policy::stream_silent).
    w.set("wal_receiver_timeout", "3s");
    w.set("wal_sender_timeout", "5s");
    w.set("wal_receiver_status_interval", "1s");
    w.set("hot_standby_feedback", "on");
    w.set("max_standby_streaming_delay", "30s");
    w.set("wal_level", "replica");
    w.set("archive_mode", "off");
    w.set("checkpoint_timeout", "5min");
    w.set("log_line_prefix", "%m [%p] %q%u@%d ");
    w.set("log_timezone", "UTC");
    w.set("timezone", "UTC");
    w.set("datestyle", "iso, mdy");
    w.set("password_encryption", "scram-sha-256");
    w.set("dynamic_shared_memory_type", "posix");
}

// What the cluster depends on. Last, so that it wins.
void write_owned(Writer& w, const Layout& l, const ServerConfig& server) {
    w.comment("set by Matriarch");
    w.set("listen_addresses", l.listen);
    w.set("port", std::to_string(l.port));
    w.set("unix_socket_directories", l.socket_dir);
    w.set("unix_socket_permissions", "0777");
    w.set("hba_file", l.hba_file);
    w.set("ident_file", l.ident_file);
    w.set("ssl", "on");
    w.set("ssl_cert_file", l.tls_dir + "/tls.crt");
    w.set("ssl_key_file", l.tls_dir + "/tls.key");
    w.set("ssl_ca_file", l.tls_dir + "/ca.crt");
    w.set("cluster_name", l.instance.value);
    w.set("hot_standby", "on");
    w.set("wal_log_hints", "on");
    w.set("full_page_writes", "on");
    w.set("fsync", "on");
    w.set("restart_after_crash", "on");
    w.set("wal_retrieve_retry_interval", "100ms");
    w.set("recovery_target_timeline", "latest");
    w.set("logging_collector", "off");
    w.set("log_destination", "stderr");
    // Before 17 ALTER SYSTEM can't be forbidden; the agent empties its file of what it owns.
    if (l.major_version >= 17) w.set("allow_alter_system", "off");
    w.set("synchronous_standby_names", server.synchronous_standby_names);
    w.set("primary_conninfo", server.primary_conninfo);
    w.set("primary_slot_name", server.primary_slot_name);
    w.set("restore_command", server.restore_command);
    w.set("default_transaction_read_only", server.read_only ? "on" : "off");
}

// A regular expression's special characters, escaped.
std::string escape_regex(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (std::string_view(".^$*+?()[]{}|\\").find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

// key='value' for a connection string.
void append_option(std::string& out, std::string_view key, std::string_view value) {
    if (!out.empty()) out += ' ';
    out += key;
    out += "='";
    for (const char c : value) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    out += '\'';
}

template <class Each>
void each_parameter(const InstanceConfig& config, Each each) {
    for (const auto* map :
         {&config.parameters, &config.master_parameters, &config.slave_parameters})
        for (const auto& [name, value] : *map) each(name, value);
}

}  // namespace

std::string_view to_string(Role role) {
    return role == Role::Master ? "master" : "slave";
}

std::string quote_parameter(std::string_view value) {
    std::string out = "'";
    for (const char c : value) {
        if (c == '\'' || c == '\\') out += c;
        out += c;
    }
    return out + "'";
}

bool owned_parameter(std::string_view name) {
    static constexpr std::array<std::string_view, 43> kOwned = {
        "allow_alter_system",
        "archive_cleanup_command",
        "cluster_name",
        "config_file",
        "data_directory",
        "default_transaction_read_only",
        "external_pid_file",
        "fsync",
        "full_page_writes",
        "hba_file",
        "hot_standby",
        "ident_file",
        "include",
        "include_dir",
        "include_if_exists",
        "listen_addresses",
        "log_destination",
        "logging_collector",
        "port",
        "primary_conninfo",
        "primary_slot_name",
        "promote_trigger_file",
        "recovery_end_command",
        "recovery_min_apply_delay",
        "recovery_target",
        "recovery_target_action",
        "recovery_target_inclusive",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_timeline",
        "recovery_target_xid",
        "restart_after_crash",
        "restore_command",
        "ssl",
        "ssl_ca_file",
        "ssl_cert_file",
        "ssl_key_file",
        "synchronous_standby_names",
        "unix_socket_directories",
        "unix_socket_permissions",
        "wal_log_hints",
        "wal_retrieve_retry_interval",
    };
    return std::binary_search(kOwned.begin(), kOwned.end(), lower(name));
}

std::string render_postgresql_conf(const Layout& layout, const InstanceConfig& config,
                                   const ServerConfig& server) {
    Writer w;
    w.comment("Written by matriarch-agent; changes made here are lost.");
    write_defaults(w);
    w.comment("spec.postgresql");
    w.user(config.parameters);
    w.user(server.role == Role::Master ? config.master_parameters : config.slave_parameters);
    write_owned(w, layout, server);
    return w.take();
}

std::string render_hba(const Layout& layout, const InstanceConfig& config) {
    const std::string role(kReplicationRole);
    std::string out = "# Written by matriarch-agent; changes made here are lost.\n";
    // The agent itself. The superuser never comes over the network.
    out += "local all postgres peer map=agent\n";
    out += "local replication postgres peer map=agent\n";
    out += "host all postgres all reject\n";
    out += "host replication postgres all reject\n";
    // Slaves, by the certificate of an instance of this cluster.
    out += "hostssl replication " + role + " all cert map=instances\n";
    out += "hostssl postgres " + role + " all cert map=instances\n";
    out += "host all " + role + " all reject\n";
    for (const auto& line : config.hba)
        if (one_line(line)) out += line + "\n";
    out += "local all all scram-sha-256\n";
    out += "hostssl all all all scram-sha-256\n";
    out += "hostnossl all all all scram-sha-256\n";
    out += "host replication all all reject\n";
    (void)layout;
    return out;
}

std::string render_ident(const Layout& layout) {
    std::string out = "# Written by matriarch-agent; changes made here are lost.\n";
    out += "agent \"" + layout.os_user + "\" postgres\n";
    out += "instances \"/^" + escape_regex(layout.cluster) + "-[0-9]+$\" " +
           std::string(kReplicationRole) + "\n";
    return out;
}

std::string upstream_conninfo(const Layout& layout, const Upstream& upstream,
                              std::string_view database) {
    std::string out;
    append_option(out, "host", upstream.host);
    // Names resolve synchronously and may be stale; the certificate is checked against `host`.
    if (!upstream.address.empty()) append_option(out, "hostaddr", upstream.address);
    append_option(out, "port", std::to_string(upstream.port));
    append_option(out, "user", kReplicationRole);
    if (!database.empty()) append_option(out, "dbname", database);
    append_option(out, "application_name", layout.instance.value);
    append_option(out, "sslmode", "verify-full");
    append_option(out, "sslcert", layout.tls_dir + "/tls.crt");
    append_option(out, "sslkey", layout.tls_dir + "/tls.key");
    append_option(out, "sslrootcert", layout.tls_dir + "/ca.crt");
    append_option(out, "gssencmode", "disable");
    append_option(out, "passfile", "/dev/null/none");
    append_option(out, "connect_timeout", "3");
    append_option(out, "keepalives_idle", "3");
    append_option(out, "keepalives_interval", "1");
    append_option(out, "keepalives_count", "3");
    append_option(out, "tcp_user_timeout", "5000");
    // The same for the upstream's end: a walsender whose dead link never drains would hold its
    // slot, and with it the checkpointer that wants to invalidate it.
    append_option(out, "options", "-c tcp_user_timeout=5000");
    return out;
}

std::vector<ParameterTrouble> owned_parameter_troubles(const InstanceConfig& config) {
    std::vector<ParameterTrouble> out;
    each_parameter(config, [&](const std::string& name, const std::string& value) {
        if (!plain_name(name))
            out.push_back({name, "is no name of a parameter"});
        else if (!one_line(value))
            out.push_back({name, "must be one line"});
        else if (owned_parameter(name))
            out.push_back({name, "is set by Matriarch; remove it"});
    });
    return out;
}

std::vector<ParameterTrouble> parse_parameter_errors(std::string_view output,
                                                     const InstanceConfig& config) {
    std::vector<ParameterTrouble> out;
    std::string other;
    while (!output.empty()) {
        const auto newline = output.find('\n');
        std::string_view line = output.substr(0, newline);
        output = newline == std::string_view::npos ? "" : output.substr(newline + 1);
        // "2026-01-01 … LOG:  message"; DETAIL and HINT lines follow, FATAL only sums up.
        const auto log = line.find("LOG:  ");
        const auto fatal = line.find("FATAL:  ");
        if (log == std::string_view::npos) {
            if (fatal != std::string_view::npos) other = line.substr(fatal + 8);
            continue;
        }
        const std::string message = lower(line.substr(log + 6));
        ParameterTrouble found;
        each_parameter(config, [&](const std::string& name, const std::string&) {
            if (message.find('"' + lower(name) + '"') != std::string::npos)
                found = {name, std::string(line.substr(log + 6))};
        });
        const bool known = std::any_of(out.begin(), out.end(), [&](const ParameterTrouble& t) {
            return t.name == found.name;
        });
        if (!found.name.empty() && !known) out.push_back(found);
    }
    if (out.empty() && !other.empty()) out.push_back({"", other});
    return out;
}

}  // namespace matriarch::postgres
