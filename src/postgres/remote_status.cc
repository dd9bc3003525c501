#include "postgres/remote_status.h"

#include <charconv>

namespace matriarch::postgres {
namespace {

// CASE keeps functions that fail in recovery, or outside of it, from being called there.
constexpr const char* kSql =
    "SELECT recovering,"
    " NOT recovering AND pg_catalog.current_setting('transaction_read_only') = 'off',"
    " CASE WHEN recovering THEN '' ELSE pg_catalog.pg_current_wal_lsn()::text END,"
    " CASE WHEN recovering THEN '' ELSE pg_catalog.substr(pg_catalog.pg_walfile_name("
    "pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
    " pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn(),"
    " EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver),"
    " greatest(0, pg_catalog.ceil(extract(epoch FROM pg_catalog.clock_timestamp() -"
    " pg_catalog.pg_last_xact_replay_timestamp()) * 1000))::bigint,"
    " (SELECT pg_catalog.sum(xact_commit + xact_rollback) FROM pg_catalog.pg_stat_database),"
    " pg_catalog.current_setting('server_version_num')"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering) AS server";

template <class Int>
Int number(std::string_view text, int base = 10) {
    Int out{};
    std::from_chars(text.data(), text.data() + text.size(), out, base);
    return out;
}

Lsn lsn(const Rows& rows, int column) {
    return Lsn::parse(rows.text(0, column)).value_or(Lsn());
}

}  // namespace

Result<RemoteStatus> read_remote_status(Connection& connection, Deadline deadline) {
    const auto row = connection.one(kSql, deadline);
    if (!row) return row.error();
    RemoteStatus out;
    out.in_recovery = row->yes(0, 0);
    out.writable = row->yes(0, 1);
    out.written = lsn(*row, 2);
    out.timeline = Timeline(number<std::uint32_t>(row->text(0, 3), 16));
    out.received = lsn(*row, 4);
    out.replayed = lsn(*row, 5);
    out.receiving = row->yes(0, 6);
    out.commit_age = std::chrono::milliseconds(number<std::int64_t>(row->text(0, 7)));
    out.transactions = number<std::uint64_t>(row->text(0, 8));
    out.version_num = number<int>(row->text(0, 9));
    return out;
}

SystemIdentifier read_system_identifier(Connection& connection, Deadline deadline) {
    const auto row =
        connection.one("SELECT system_identifier FROM pg_catalog.pg_control_system()", deadline);
    return row ? SystemIdentifier(std::string(row->text(0, 0))) : SystemIdentifier();
}

}  // namespace matriarch::postgres
