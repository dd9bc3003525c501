#include "postgres/setup.h"

#include <algorithm>

#include "model/pooler.h"
#include "model/report.h"

namespace matriarch::postgres {
namespace {

// Only slots of our naming are dropped: one that a user made for something else stays.
bool ours(std::string_view slot, const std::vector<std::string>& wanted) {
    for (const auto& name : wanted) {
        const auto prefix = name.substr(0, name.rfind('_') + 1);
        if (prefix.empty() || slot.substr(0, prefix.size()) != prefix) continue;
        const auto rest = slot.substr(prefix.size());
        if (!rest.empty() && rest.find_first_not_of("0123456789") == std::string_view::npos)
            return true;
    }
    return false;
}

// Commits of ours must not wait for a synchronous slave that can't connect before they are done.
Status be_quiet(Connection& connection, Deadline deadline) {
    const auto done = connection.query(
        "SET log_statement = 'none'; SET log_min_error_statement = 'panic';"
        "SET log_min_duration_statement = -1; SET synchronous_commit = 'local';"
        "SET default_transaction_read_only = off; SET search_path = ''",
        deadline);
    return done ? Status() : Status(done.error());
}

Status make_role(Connection& connection, const RoleConfig& role, Deadline deadline) {
    const auto rows = connection.query(
        "SELECT rolpassword IS NOT DISTINCT FROM " + quote_literal(role.verifier) +
            ", rolcanlogin, rolreplication FROM pg_catalog.pg_authid WHERE rolname = " +
            quote_literal(role.name),
        deadline);
    if (!rows) return rows.error();
    const Rows& found = rows->front();
    const bool exists = found.count() == 1;
    if (exists && (role.verifier.empty() || found.yes(0, 0)) && found.yes(0, 1) == role.login &&
        found.yes(0, 2) == role.replication)
        return {};
    std::string sql = (exists ? "ALTER ROLE " : "CREATE ROLE ") + quote_identifier(role.name);
    sql += role.login ? " LOGIN" : " NOLOGIN";
    sql += role.replication ? " REPLICATION" : " NOREPLICATION";
    if (!role.verifier.empty()) sql += " PASSWORD " + quote_literal(role.verifier);
    const auto done = connection.query(sql, deadline);
    if (!done)
        return make_error(done.error().kind, "cannot make role " + role.name, done.error().what);
    return {};
}

}  // namespace

Status reconcile_roles(Connection& connection, const InstanceConfig& config, Deadline deadline) {
    if (auto quiet = be_quiet(connection, deadline); !quiet) return quiet;

    RoleConfig replication{std::string(kReplicationRole), "", true, true};
    if (auto made = make_role(connection, replication, deadline); !made) return made;
    for (const auto& role : config.roles)
        if (role.name != kReplicationRole && role.name != "postgres")
            if (auto made = make_role(connection, role, deadline); !made) return made;

    // What pg_rewind reads of its source without being superuser (its documentation, Notes).
    const auto role = quote_identifier(kReplicationRole);
    const auto granted = connection.query(
        "DO $$ BEGIN IF NOT pg_catalog.has_function_privilege('" + std::string(kReplicationRole) +
            "', 'pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)', 'EXECUTE') THEN "
            "GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean),"
            " pg_catalog.pg_stat_file(text, boolean), pg_catalog.pg_read_binary_file(text),"
            " pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO " +
            role + "; END IF; END $$",
        deadline);
    if (!granted) return granted.error();

    if (!config.owner.empty()) {
        RoleConfig owner{config.owner, "", true, false};
        const bool listed = std::any_of(config.roles.begin(), config.roles.end(),
                                        [&](const auto& r) { return r.name == config.owner; });
        if (!listed && config.owner != "postgres")
            if (auto made = make_role(connection, owner, deadline); !made) return made;
    }
    if (config.database.empty() || config.database == "postgres") return {};
    const auto exists = connection.query(
        "SELECT FROM pg_catalog.pg_database WHERE datname = " + quote_literal(config.database),
        deadline);
    if (!exists) return exists.error();
    if (exists->front().count() > 0) return {};
    std::string sql = "CREATE DATABASE " + quote_identifier(config.database);
    if (!config.owner.empty()) sql += " OWNER " + quote_identifier(config.owner);
    const auto made = connection.query(sql, deadline);
    if (!made)
        return make_error(made.error().kind, "cannot make database " + config.database,
                          made.error().what);
    return {};
}

Status reconcile_pooler(Connection& connection, const std::string& pooler, Deadline deadline) {
    const std::string schema(kPoolerSchema), role = quote_identifier(pooler);
    const std::string function = std::string(kPoolerLookup) + "(text)";
    if (auto quiet = be_quiet(connection, deadline); !quiet) return quiet;
    // By the function's comment: what was made by another version of it is made anew.
    constexpr const char* kVersion = "matriarch: pooler lookup 1";
    const auto made =
        connection.one("SELECT pg_catalog.obj_description(pg_catalog.to_regprocedure(" +
                           quote_literal(function) + "), 'pg_proc') = " + quote_literal(kVersion),
                       deadline);
    if (!made) return made.error();
    if (made->yes(0, 0)) return {};
    const auto done = connection.query(
        "BEGIN; CREATE SCHEMA IF NOT EXISTS " + schema + "; CREATE OR REPLACE FUNCTION " +
            std::string(kPoolerLookup) +
            "(wanted text, OUT usename text, OUT passwd text) RETURNS SETOF record"
            " LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS"
            " 'SELECT rolname::text, rolpassword FROM pg_catalog.pg_authid"
            "  WHERE rolname::text = wanted AND rolcanlogin AND NOT rolsuper AND NOT rolreplication"
            "  AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())';"
            "COMMENT ON FUNCTION " +
            function + " IS " + quote_literal(kVersion) + "; REVOKE ALL ON FUNCTION " + function +
            " FROM PUBLIC; REVOKE ALL ON SCHEMA " + schema +
            " FROM PUBLIC; GRANT USAGE ON SCHEMA " + schema + " TO " + role +
            "; GRANT EXECUTE ON FUNCTION " + function + " TO " + role + "; COMMIT",
        deadline);
    if (!done)
        return make_error(done.error().kind, "cannot make function " + function, done.error().what);
    return {};
}

Result<SlotPositions> read_slots(Connection& connection, Deadline deadline) {
    const auto rows = connection.query(
        "SELECT slot_name, restart_lsn FROM pg_catalog.pg_replication_slots"
        " WHERE slot_type = 'physical' AND restart_lsn IS NOT NULL",
        deadline);
    if (!rows) return rows.error();
    SlotPositions out;
    for (int i = 0; i < rows->front().count(); ++i)
        out[std::string(rows->front().text(i, 0))] =
            Lsn::parse(rows->front().text(i, 1)).value_or(Lsn());
    return out;
}

Status reconcile_slots(Connection& connection, const std::vector<std::string>& wanted,
                       const std::optional<SlotPositions>& upstream, Deadline deadline) {
    const auto rows = connection.query(
        "SELECT slot_name, active, wal_status = 'lost', restart_lsn,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() END"
        " FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical'",
        deadline);
    if (!rows) return rows.error();
    const Rows& found = rows->front();
    const auto lsn = [&](int row, int column) {
        return Lsn::parse(found.text(row, column)).value_or(Lsn());
    };
    std::vector<std::string> present;
    std::string sql;
    for (int i = 0; i < found.count(); ++i) {
        const std::string name(found.text(i, 0));
        const bool active = found.yes(i, 1), lost = found.yes(i, 2);
        const bool keep = std::find(wanted.begin(), wanted.end(), name) != wanted.end();
        const auto literal = quote_literal(name);
        if (!active && (lost || (!keep && ours(name, wanted)))) {
            sql += "SELECT pg_catalog.pg_drop_replication_slot(" + literal + ");";
            continue;
        }
        present.push_back(name);
        if (active || !keep || !upstream) continue;
        const auto theirs = upstream->find(name);
        Lsn target = lsn(i, 4);  // unknown on a master, whose slots their slaves move
        if (theirs != upstream->end()) target = std::min(target, theirs->second);
        if (lsn(i, 3).known() && lsn(i, 3) < target)
            sql += "SELECT pg_catalog.pg_replication_slot_advance(" + literal + ", " +
                   quote_literal(target.str()) + ");";
    }
    for (const auto& name : wanted)
        if (std::find(present.begin(), present.end(), name) == present.end())
            sql += "SELECT pg_catalog.pg_create_physical_replication_slot(" + quote_literal(name) +
                   ", true);";
    if (sql.empty()) return {};
    const auto done = connection.query(sql, deadline);
    if (!done)
        return make_error(done.error().kind, "cannot keep the replication slots",
                          done.error().what);
    return {};
}

}  // namespace matriarch::postgres
