#include "cli/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace matriarch::cli {
namespace {

constexpr std::int64_t kLongestWaitMs = 1000;

struct ClearResult {
    void operator()(PGresult* result) const { PQclear(result); }
};

Answer unknown(std::string message) {
    Answer answer;
    answer.message = std::move(message);
    return answer;
}

// What one result says; rows are appended, an error replaces the answer.
void take_in(const PGresult* result, Answer& answer) {
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        answer.kind = Answer::Kind::Acknowledged;
        for (int row = 0; row < PQntuples(result); ++row) {
            auto& fields = answer.rows.emplace_back();
            for (int column = 0; column < PQnfields(result); ++column)
                fields.emplace_back(PQgetvalue(result, row, column));
        }
        return;
    }
    const char* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    answer.kind = Answer::Kind::Refused;
    answer.sqlstate = sqlstate == nullptr ? "" : sqlstate;
    answer.message = first_line(PQresultErrorMessage(result));
}

}  // namespace

std::string first_line(const char* text) {
    const std::string_view whole = text == nullptr ? "" : text;
    return std::string(whole.substr(0, whole.find('\n')));
}

void Connection::Closer::operator()(pg_conn* connection) const {
    PQfinish(connection);
}

Connection::Connection(Handle handle, std::string host)
    : handle_(std::move(handle)), host_(std::move(host)) {}

bool Connection::usable() const {
    return PQstatus(handle_.get()) == CONNECTION_OK;
}

Answer Connection::execute(const Clock& clock, const std::string& sql,
                           const std::vector<std::string>& parameters, Duration patience) {
    PGconn* const session = handle_.get();
    const TimePoint deadline = clock.now() + patience;
    std::vector<const char*> values;
    for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
    if (PQsendQueryParams(session, sql.c_str(), static_cast<int>(values.size()), nullptr,
                          values.data(), nullptr, nullptr, 0) == 0)
        return unknown(first_line(PQerrorMessage(session)));

    Answer answer;
    for (;;) {
        const int unsent = PQflush(session);
        if (unsent < 0) return unknown(first_line(PQerrorMessage(session)));
        while (PQisBusy(session) == 0) {
            const std::unique_ptr<PGresult, ClearResult> result(PQgetResult(session));
            if (!result) return answer;  // the whole answer is here
            take_in(result.get(), answer);
            // The server closed the session, or it broke: whether the statement took effect is
            // not known, even where an error came with it.
            if (PQstatus(session) != CONNECTION_OK) {
                answer.kind = Answer::Kind::Unknown;
                return answer;
            }
        }
        if (clock.now() >= deadline) return unknown("no answer to a statement in time");
        const short wanted = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
        pollfd socket{PQsocket(session), wanted, 0};
        const auto left = std::min<std::int64_t>(to_ms(deadline - clock.now()) + 1, kLongestWaitMs);
        poll(&socket, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
        if (socket.revents != 0 && PQconsumeInput(session) == 0)
            return unknown(first_line(PQerrorMessage(session)));
    }
}

}  // namespace matriarch::cli
