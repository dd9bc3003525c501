// Connection: one libpq connection that never blocks longer than its deadline.
//
// libpq's own connect_timeout is rounded up to 2 s and ignored by the non-blocking calls, PQcancel
// blocks without limit, and names are resolved synchronously; so this drives PQconnectPoll and
// PQconsumeInput with poll(2) itself and, past a deadline, closes the socket. One owner thread.
// Errors: Timeout (unknown whether it acted), Unavailable (no server, or it went away), Invalid
// (the server refused the statement; `cause` is its SQLSTATE). The `cause` of a failure to connect
// has the server's SQLSTATE if the server answered.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

struct pg_conn;
struct pg_result;

namespace matriarch::postgres {

using ConnectionOptions = std::vector<std::pair<std::string, std::string>>;

// The rows of one statement.
class Rows {
  public:
    explicit Rows(pg_result* result);
    int count() const;
    int column(const char* name) const;  // -1: there is none of this name
    bool null(int row, int column) const;
    // Empty for NULL.
    std::string_view text(int row, int column) const;
    bool yes(int row, int column) const { return text(row, column) == "t"; }

  private:
    std::shared_ptr<pg_result> result_;
};

class Connection {
  public:
    // Without Kerberos, and with no password but that of the options.
    static Result<Connection> open(const ConnectionOptions& options, Deadline deadline,
                                   const Clock& clock);

    // One or more statements separated by semicolons; the rows of each. After any error but
    // Invalid the connection is closed.
    Result<std::vector<Rows>> query(const std::string& sql, Deadline deadline);
    // query() of one statement that gives at least one row.
    Result<Rows> one(const std::string& sql, Deadline deadline);

    bool open() const { return connection_ != nullptr; }
    // Waits for the server to end this session, which asks nothing meanwhile; false: it did not.
    bool ended_within(Duration patience);

  private:
    Connection(std::shared_ptr<pg_conn> connection, const Clock& clock)
        : connection_(std::move(connection)), clock_(&clock) {}

    std::shared_ptr<pg_conn> connection_;
    const Clock* clock_;
};

// Whether a failure to connect is a server's answer to this client alone: not that nobody answered,
// nor that the server starts, ends or recovers, when it takes nobody.
bool takes_clients(const Error& failure);

// 'it''s' and "my table".
std::string quote_literal(std::string_view text);
std::string quote_identifier(std::string_view text);

}  // namespace matriarch::postgres
