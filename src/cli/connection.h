// Connection: one PostgreSQL session whose every wait has a deadline of ours.
//
// An answer is one of three: acknowledged, refused (the server said no and did nothing), unknown
// (the session broke or stayed silent after the statement was sent). Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"

// libpq's own name; its header stays in the .cc files.
struct pg_conn;

namespace matriarch::cli {

struct Answer {
    enum class Kind { Acknowledged, Refused, Unknown };
    Kind kind = Kind::Unknown;
    std::string sqlstate;  // empty when the server did not say
    std::string message;   // one line
    std::vector<std::vector<std::string>> rows;
};

class Connection {
  public:
    struct Closer {
        void operator()(pg_conn* connection) const;
    };
    using Handle = std::unique_ptr<pg_conn, Closer>;

    Connection(Handle handle, std::string host);

    // Sends one statement with text parameters and waits for its whole answer. After Unknown the
    // session is of no more use. A stop request does not cut the wait short: `patience` ends it.
    Answer execute(const Clock& clock, const std::string& sql,
                   const std::vector<std::string>& parameters, Duration patience);

    bool usable() const;
    const std::string& host() const { return host_; }  // which one answered

  private:
    Handle handle_;
    std::string host_;
};

// The first line of a message of libpq.
std::string first_line(const char* text);

}  // namespace matriarch::cli
