#include "postgres/status.h"

#include <algorithm>
#include <charconv>

namespace matriarch::postgres {
namespace {

// Replay that waits for a query is looked for only where WAL waits too, since the look takes longer
// the more sessions there are.
constexpr const char* kStatusSql =
    "SELECT r, pg_catalog.current_setting('default_transaction_read_only'),"
    " CASE WHEN NOT r THEN pg_catalog.pg_current_wal_lsn() END,"
    " CASE WHEN NOT r THEN pg_catalog.pg_current_wal_flush_lsn() END,"
    " CASE WHEN r THEN pg_catalog.pg_last_wal_receive_lsn() END,"
    " CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn() END,"
    " CASE WHEN r THEN (1000 * EXTRACT(EPOCH FROM (pg_catalog.clock_timestamp() -"
    " pg_catalog.pg_last_xact_replay_timestamp())))::bigint END,"
    " w.status, w.received_tli, pg_catalog.current_setting('server_version_num'),"
    " pg_catalog.current_setting('primary_conninfo') <> '', w.sender_host, w.sender_port,"
    " (1000 * EXTRACT(EPOCH FROM (pg_catalog.clock_timestamp() - "
    "w.last_msg_receipt_time)))::bigint,"
    " pg_catalog.current_setting('synchronous_standby_names'),"
    " CASE WHEN r THEN w.latest_end_lsn END,"
    " CASE WHEN r AND pg_catalog.pg_last_wal_receive_lsn() > pg_catalog.pg_last_wal_replay_lsn()"
    " THEN EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(NULL)"
    " WHERE backend_type = 'startup' AND (wait_event LIKE 'RecoveryConflict%'"
    " OR wait_event_type IN ('Lock', 'BufferPin'))) END,"
    " (SELECT pg_catalog.sum(xact_commit + xact_rollback) FROM pg_catalog.pg_stat_database"
    " WHERE datname NOT IN ('postgres', 'template0', 'template1'))"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS r) AS x"
    " LEFT JOIN pg_catalog.pg_stat_wal_receiver AS w ON true;"
    "SELECT application_name, state, sync_state, sent_lsn, flush_lsn, replay_lsn, pid"
    " FROM pg_catalog.pg_stat_replication WHERE state IN ('streaming', 'catchup')"
    " ORDER BY application_name, pid;"
    "SELECT slot_name, active, wal_status, restart_lsn FROM pg_catalog.pg_replication_slots"
    " WHERE slot_type = 'physical' AND NOT temporary ORDER BY slot_name;"
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE pending_restart)";

template <class Int>
Int number(std::string_view text) {
    Int out{};
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

Lsn lsn(const Rows& rows, int row, int column) {
    return Lsn::parse(rows.text(row, column)).value_or(Lsn());
}

// The beginning of the oldest segment, of any timeline: they are removed by number. Unknown where
// the rights to see it were not given yet (setup.cc).
Lsn read_oldest_wal(Connection& connection, Deadline deadline) {
    const auto row = connection.one(
        "SELECT pg_catalog.min(pg_catalog.substr(name, 9)), (SELECT setting FROM"
        " pg_catalog.pg_settings WHERE name = 'wal_segment_size')"
        " FROM pg_catalog.pg_ls_dir('pg_wal', false, false) AS name"
        " WHERE name ~ '^[0-9A-F]{24}$'",
        deadline);
    if (!row) return {};
    const auto size = number<std::uint64_t>(row->text(0, 1));
    const auto name = parse_segment_file("00000001" + std::string(row->text(0, 0)), size);
    return name ? Lsn(name->number * size) : Lsn();
}

}  // namespace

ConnectionOptions local_options(const std::string& socket_dir, int port, bool walsender,
                                const std::string& application_name) {
    ConnectionOptions out{{"host", socket_dir},
                          {"port", std::to_string(port)},
                          {"user", "postgres"},
                          {"dbname", "postgres"},
                          {"application_name", application_name},
                          {"client_encoding", "UTF8"}};
    if (walsender) out.emplace_back("replication", "database");
    return out;
}

Result<ServerStatus> read_status(Connection& connection, Deadline deadline) {
    auto answers = connection.query(kStatusSql, deadline);
    if (!answers) return answers.error();
    if (answers->size() != 4 || (*answers)[0].count() != 1)
        return make_error(ErrorKind::Invalid, "the server's status has an unexpected form");
    const Rows& server = (*answers)[0];
    ServerStatus out;
    out.in_recovery = server.yes(0, 0);
    out.read_only_default = server.text(0, 1) != "off";
    out.written = lsn(server, 0, 2);
    out.flushed = lsn(server, 0, 3);
    out.received = lsn(server, 0, 4);
    out.replayed = lsn(server, 0, 5);
    out.commit_age = std::chrono::milliseconds(number<std::int64_t>(server.text(0, 6)));
    out.receiving = server.text(0, 7) == "streaming";
    out.receiving_timeline = Timeline(number<std::uint32_t>(server.text(0, 8)));
    out.version_num = number<int>(server.text(0, 9));
    out.conninfo_set = server.yes(0, 10);
    out.sender_host = server.text(0, 11);
    out.sender_port = number<int>(server.text(0, 12));
    out.stream_age = std::chrono::milliseconds(
        std::max<std::int64_t>(0, number<std::int64_t>(server.text(0, 13))));
    out.synchronous_standby_names = server.text(0, 14);
    out.upstream_end = lsn(server, 0, 15);
    out.replay_waits = server.yes(0, 16);
    out.transactions = number<std::uint64_t>(server.text(0, 17));

    const Rows& streams = (*answers)[1];
    for (int i = 0; i < streams.count(); ++i) {
        out.streams.push_back({std::string(streams.text(i, 0)), std::string(streams.text(i, 1)),
                               std::string(streams.text(i, 2)), lsn(streams, i, 3),
                               lsn(streams, i, 4), lsn(streams, i, 5)});
        out.senders.push_back(
            {InstanceName(std::string(streams.text(i, 0))), number<int>(streams.text(i, 6))});
    }
    const Rows& slots = (*answers)[2];
    for (int i = 0; i < slots.count(); ++i)
        out.slots.push_back({std::string(slots.text(i, 0)), slots.yes(i, 1),
                             std::string(slots.text(i, 2)), lsn(slots, i, 3)});
    out.restart_pending = (*answers)[3].yes(0, 0);

    const auto system = connection.one("IDENTIFY_SYSTEM", deadline);
    if (!system) return system.error();
    out.timeline = Timeline(number<std::uint32_t>(system->text(0, 1)));
    return out;
}

Result<bool> read_in_recovery(Connection& connection, Deadline deadline) {
    const auto rows = connection.one("SELECT pg_catalog.pg_is_in_recovery()", deadline);
    if (!rows) return rows.error();
    return rows->yes(0, 0);
}

Result<UpstreamFacts> read_upstream(Connection& connection, Deadline deadline) {
    const auto system = connection.one("IDENTIFY_SYSTEM", deadline);
    if (!system) return system.error();
    UpstreamFacts out;
    out.system_identifier = SystemIdentifier(std::string(system->text(0, 0)));
    out.position.timeline = Timeline(number<std::uint32_t>(system->text(0, 1)));
    out.position.at = lsn(*system, 0, 2);
    if (out.position.timeline.value > 1) {
        const auto history = connection.one(
            "TIMELINE_HISTORY " + std::to_string(out.position.timeline.value), deadline);
        if (!history) return history.error();
        // Sent as bytea in text form or as plain bytes, depending on the version.
        std::string text(history->text(0, 1));
        auto parsed = parse_history(text);
        if (!parsed)
            return make_error(ErrorKind::Invalid, "the upstream's timeline history is malformed");
        out.position.history = std::move(*parsed);
    }
    const auto state = connection.one(
        "SELECT pg_catalog.pg_is_in_recovery(),"
        " (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())",
        deadline);
    if (!state) return state.error();
    out.in_recovery = state->yes(0, 0);
    out.checkpoint_timeline = Timeline(number<std::uint32_t>(state->text(0, 1)));
    out.oldest_wal = read_oldest_wal(connection, deadline);
    return out;
}

}  // namespace matriarch::postgres
