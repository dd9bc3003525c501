#include "cli/table.h"

#include <charconv>

namespace matriarch::cli {
namespace {

// The timeline is the first part of the name of the WAL segment that is being written.
constexpr const char* kMakeTable =
    "CREATE TABLE IF NOT EXISTS matriarch_writes ("
    " id bigint PRIMARY KEY,"
    " written_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
    " timeline int NOT NULL DEFAULT"
    "  ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int,"
    " server inet DEFAULT inet_server_addr())";

Error table_error(const std::string& what, const Answer& answer) {
    const auto kind =
        answer.kind == Answer::Kind::Unknown ? ErrorKind::Unavailable : ErrorKind::Invalid;
    return make_error(kind, what, answer.message);
}

std::vector<std::string> bounds(IdRange range) {
    return {std::to_string(range.first()), std::to_string(range.last())};
}

RowId to_id(const std::string& text) {
    RowId id = 0;
    std::from_chars(text.data(), text.data() + text.size(), id);
    return id;
}

}  // namespace

const char* const kInsertRow = "INSERT INTO matriarch_writes (id) VALUES ($1) RETURNING timeline";

Answer make_table(Connection& session, const Clock& clock, Duration patience) {
    return session.execute(clock, kMakeTable, {}, patience);
}

Result<std::vector<RowId>> stored_ids(Connection& session, const Clock& clock, IdRange range,
                                      Duration patience) {
    // id + 0: no index serves that, so a row that the index lost is found as well.
    const Answer answer =
        session.execute(clock, "SELECT id FROM matriarch_writes WHERE id + 0 BETWEEN $1 AND $2",
                        bounds(range), patience);
    if (answer.kind != Answer::Kind::Acknowledged)
        return table_error("cannot read matriarch_writes", answer);
    std::vector<RowId> ids;
    ids.reserve(answer.rows.size());
    for (const auto& row : answer.rows) ids.push_back(to_id(row.front()));
    return ids;
}

Result<RowId> highest_id(Connection& session, const Clock& clock, IdRange range,
                         Duration patience) {
    const Answer answer =
        session.execute(clock, "SELECT max(id) FROM matriarch_writes WHERE id BETWEEN $1 AND $2",
                        bounds(range), patience);
    if (answer.kind != Answer::Kind::Acknowledged || answer.rows.empty())
        return table_error("cannot read matriarch_writes", answer);
    const std::string& highest = answer.rows.front().front();
    return highest.empty() ? range.first() - 1 : to_id(highest);
}

}  // namespace matriarch::cli
