#include "pooler/console.h"

#include <algorithm>
#include <cstdlib>
#include <set>

namespace matriarch::pooler {
namespace {

constexpr Duration kPatience = seconds(1);
// PAUSE answers when the last transaction is over, which may take for ever.
constexpr Duration kPausePatience = milliseconds(5);

int number(const postgres::Rows& rows, int row, const char* column) {
    const int at = rows.column(column);
    return at < 0 ? 0 : std::atoi(std::string(rows.text(row, at)).c_str());
}

std::uint64_t count(const postgres::Rows& rows, int row, const char* column) {
    const int at = rows.column(column);
    return at < 0 ? 0 : std::strtoull(std::string(rows.text(row, at)).c_str(), nullptr, 10);
}

std::string text(const postgres::Rows& rows, int row, const char* column) {
    const int at = rows.column(column);
    return at < 0 ? std::string() : std::string(rows.text(row, at));
}

}  // namespace

PgBouncerConsole::PgBouncerConsole(std::string socket_dir, int port, const Clock& clock)
    : socket_dir_(std::move(socket_dir)), port_(port), clock_(clock) {}

Result<postgres::Rows> PgBouncerConsole::ask(const std::string& command, Duration patience) {
    const Deadline deadline = Deadline::after(clock_, patience);
    if (!connection_ || !connection_->open()) {
        connection_.reset();
        auto opened = postgres::Connection::open({{"host", socket_dir_},
                                                  {"port", std::to_string(port_)},
                                                  {"user", "pgbouncer"},
                                                  {"dbname", "pgbouncer"}},
                                                 Deadline::after(clock_, kPatience), clock_);
        if (!opened) return opened.error();
        connection_ = std::move(*opened);
    }
    auto rows = connection_->query(command, deadline);
    if (!rows) return rows.error();
    if (rows->empty())
        return make_error(ErrorKind::Invalid, "PgBouncer answers nothing to " + command);
    return rows->front();
}

Status PgBouncerConsole::tell(const std::string& command) {
    const auto rows = ask(command, kPatience);
    return rows ? Status() : Status(rows.error());
}

Status PgBouncerConsole::reload() {
    return tell("RELOAD");
}

Status PgBouncerConsole::pause(const std::string& database) {
    const auto done = ask("PAUSE " + postgres::quote_identifier(database), kPausePatience);
    return done || done.error().kind == ErrorKind::Timeout ? Status() : Status(done.error());
}

Status PgBouncerConsole::resume(const std::string& database) {
    return tell("RESUME " + postgres::quote_identifier(database));
}

Status PgBouncerConsole::shut_down() {
    return tell("SHUTDOWN WAIT_FOR_CLIENTS");
}

Result<std::vector<std::string>> PgBouncerConsole::paused() {
    const auto rows = ask("SHOW DATABASES", kPatience);
    if (!rows) return rows.error();
    std::vector<std::string> out;
    for (int i = 0; i < rows->count(); ++i)
        if (number(*rows, i, "paused") != 0) out.push_back(text(*rows, i, "name"));
    return out;
}

Result<Pools> PgBouncerConsole::pools() {
    const auto pools = ask("SHOW POOLS", kPatience);
    if (!pools) return pools.error();
    Pools out;
    for (int i = 0; i < pools->count(); ++i) {
        const std::string database = text(*pools, i, "database");
        if (database == "pgbouncer") continue;
        PoolFigures& f = out[database];
        f.clients_active += number(*pools, i, "cl_active");
        f.clients_waiting += number(*pools, i, "cl_waiting");
        for (const char* busy : {"sv_active", "sv_active_cancel", "sv_tested", "sv_login"})
            f.servers_active += number(*pools, i, busy);
        for (const char* free : {"sv_idle", "sv_used"}) f.servers_idle += number(*pools, i, free);
        f.longest_wait = std::max(
            f.longest_wait, number(*pools, i, "maxwait") + number(*pools, i, "maxwait_us") / 1e6);
    }
    return out;
}

Status PgBouncerConsole::add_totals(Pools& pools) {
    const auto stats = ask("SHOW STATS_TOTALS", kPatience);
    if (!stats) return stats.error();
    for (int i = 0; i < stats->count(); ++i) {
        const auto found = pools.find(text(*stats, i, "database"));
        if (found == pools.end()) continue;
        found->second.transactions = count(*stats, i, "xact_count");
        found->second.queries = count(*stats, i, "query_count");
    }
    return {};
}

Result<ServerPools> PgBouncerConsole::servers(int pool_size) {
    const auto rows = ask("SHOW SERVERS", kPatience);
    if (!rows) return rows.error();
    ServerPools out;
    std::set<std::pair<std::string, std::string>> pools;  // address, database
    for (int i = 0; i < rows->count(); ++i) {
        const std::string address = text(*rows, i, "addr");
        pools.emplace(address, text(*rows, i, "database"));
        const std::string state = text(*rows, i, "state");
        const bool idle = state == "idle" || state == "used";
        ++(idle ? out[address].idle : out[address].in_use);
    }
    for (const auto& [address, database] : pools) out[address].size += pool_size;
    return out;
}

}  // namespace matriarch::pooler
