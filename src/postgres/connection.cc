#include "postgres/connection.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cstring>

namespace matriarch::postgres {
namespace {

// Waits for `events` on fd; false when the deadline passed.
bool wait_for(int fd, short events, Deadline deadline, const Clock& clock) {
    while (true) {
        const auto left = deadline.remaining(clock);
        if (left == Duration::zero()) return false;
        const auto ms = std::min<std::int64_t>(to_ms(left) + 1, 60000);
        pollfd p{fd, events, 0};
        const int ready = poll(&p, 1, static_cast<int>(ms));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true;  // let libpq see the error itself
    }
}

std::string first_line(const char* text) {
    std::string_view line = text == nullptr ? "" : text;
    line = line.substr(0, line.find('\n'));
    return std::string(line);
}

Error refused(const PGresult* result) {
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return make_error(ErrorKind::Invalid, message ? message : "the server refused the statement",
                      state ? state : "");
}

void silent(void*, const char*) {}

// libpq writes "FATAL:  28P01: …", the first word in the server's language.
std::string sqlstate_in(std::string_view text) {
    constexpr std::size_t kLength = 5;
    for (auto at = text.find(":  "); at != text.npos; at = text.find(":  ", at + 1)) {
        const auto state = text.substr(at + 3, kLength);
        const bool letters = std::all_of(state.begin(), state.end(), [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
        });
        if (letters && text.substr(at + 3 + kLength).starts_with(": ")) return std::string(state);
    }
    return {};
}

}  // namespace

Rows::Rows(pg_result* result) : result_(result, PQclear) {}

int Rows::count() const {
    return PQntuples(result_.get());
}

int Rows::column(const char* name) const {
    return PQfnumber(result_.get(), name);
}

bool Rows::null(int row, int column) const {
    return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view Rows::text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

Result<Connection> Connection::open(const ConnectionOptions& options, Deadline deadline,
                                    const Clock& clock) {
    // Of two the later counts, so that options may say otherwise.
    std::vector<const char*> keys{"gssencmode", "passfile"}, values{"disable", "/dev/null/none"};
    for (const auto& [key, value] : options) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    // expand_dbname: an upstream is given as one connection string in "dbname".
    std::shared_ptr<PGconn> connection(PQconnectStartParams(keys.data(), values.data(), 1),
                                       PQfinish);
    if (!connection) return make_error(ErrorKind::Unavailable, "no memory for a connection");
    PQsetNoticeProcessor(connection.get(), silent, nullptr);
    PQsetErrorVerbosity(connection.get(), PQERRORS_VERBOSE);  // names the SQLSTATE
    auto next = PGRES_POLLING_WRITING;
    while (PQstatus(connection.get()) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        const short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait_for(PQsocket(connection.get()), events, deadline, clock))
            return make_error(ErrorKind::Timeout, "no connection within the deadline");
        next = PQconnectPoll(connection.get());
        if (next == PGRES_POLLING_FAILED) break;
    }
    if (PQstatus(connection.get()) != CONNECTION_OK)
        return make_error(ErrorKind::Unavailable, "cannot connect to PostgreSQL",
                          first_line(PQerrorMessage(connection.get())));
    PQsetErrorVerbosity(connection.get(), PQERRORS_DEFAULT);
    PQsetnonblocking(connection.get(), 1);
    return Connection(std::move(connection), clock);
}

Result<std::vector<Rows>> Connection::query(const std::string& sql, Deadline deadline) {
    if (!connection_) return make_error(ErrorKind::Unavailable, "the connection is closed");
    PGconn* c = connection_.get();
    const auto lost = [&](ErrorKind kind, const char* what) {
        auto error = make_error(kind, what, first_line(PQerrorMessage(c)));
        connection_.reset();
        return error;
    };
    if (PQsendQuery(c, sql.c_str()) != 1) return lost(ErrorKind::Unavailable, "cannot send");
    for (int left = PQflush(c); left != 0; left = PQflush(c)) {
        if (left < 0) return lost(ErrorKind::Unavailable, "cannot send");
        if (!wait_for(PQsocket(c), POLLOUT, deadline, *clock_))
            return lost(ErrorKind::Timeout, "not sent within the deadline");
    }
    std::vector<Rows> out;
    std::optional<Error> error;
    while (true) {
        while (PQisBusy(c)) {
            if (!wait_for(PQsocket(c), POLLIN, deadline, *clock_))
                return lost(ErrorKind::Timeout, "no answer within the deadline");
            if (PQconsumeInput(c) != 1) return lost(ErrorKind::Unavailable, "the server went away");
        }
        PGresult* result = PQgetResult(c);
        if (result == nullptr) break;
        Rows rows(result);
        switch (PQresultStatus(result)) {
            case PGRES_TUPLES_OK:
            case PGRES_COMMAND_OK:
            case PGRES_EMPTY_QUERY:
                out.push_back(std::move(rows));
                break;
            default:
                if (!error) error = refused(result);
        }
    }
    if (PQstatus(c) == CONNECTION_BAD) return lost(ErrorKind::Unavailable, "the server went away");
    if (error) return *error;
    return out;
}

Result<Rows> Connection::one(const std::string& sql, Deadline deadline) {
    auto all = query(sql, deadline);
    if (!all) return all.error();
    if (all->empty() || all->front().count() == 0)
        return make_error(ErrorKind::NotFound, "the statement gave no row");
    return std::move(all->front());
}

bool Connection::ended_within(Duration patience) {
    if (!connection_) return true;
    PGconn* c = connection_.get();
    if (!wait_for(PQsocket(c), POLLIN, Deadline::after(*clock_, patience), *clock_)) return false;
    if (PQconsumeInput(c) == 1 && PQstatus(c) != CONNECTION_BAD) return false;  // a notice
    connection_.reset();
    return true;
}

bool takes_clients(const Error& failure) {
    const std::string state = sqlstate_in(failure.cause);
    return !state.empty() && !state.starts_with("57P");
}

std::string quote_literal(std::string_view text) {
    // E'' where a backslash occurs: right whatever standard_conforming_strings says.
    std::string out = text.find('\\') == std::string_view::npos ? "'" : " E'";
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += c;
        out += c;
    }
    return out + "'";
}

std::string quote_identifier(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"') out += c;
        out += c;
    }
    return out + "\"";
}

}  // namespace matriarch::postgres
